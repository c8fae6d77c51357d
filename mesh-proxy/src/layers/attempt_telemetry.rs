//! One record for each attempt; what goes to the endpoint names this attempt's
//! span as its parent.

use std::sync::Arc;

use http::HeaderMap;
use mesh_telemetry::proxy::{AttemptEvent, AttemptOutcome, AttemptScope, AttemptStart};

use super::{Around, Fallible, request_telemetry::flags_of};
use crate::{
    body::{End, Response, Watch, watched_response},
    call::{Attempt, Placed},
    cluster::{Admission, Permit},
    error::{Fault, ProxyError},
    grpc,
};

/// The layer.
pub(crate) struct AttemptTelemetry;

impl<Next: Fallible<Attempt>> Around<Placed, Next> for AttemptTelemetry {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, placed: Placed, mut next: Next) -> Result<Response, ProxyError> {
        let scope = begin(&placed);
        let result = next.call(attempt(placed, scope.clone())).await;
        match result {
            Ok(response) => Ok(finish_with_body(response, scope)),
            Err(error) => {
                scope.finish(outcome_of(&error));
                Err(error)
            }
        }
    }
}

fn begin(placed: &Placed) -> AttemptScope {
    let permit = placed.permit.as_ref();
    let scope = placed.scope.begin_attempt(AttemptStart {
        number: placed.number,
        endpoint: placed.endpoint.address_handle(),
        load: permit.map_or(0.0, Permit::load),
    });
    if permit.is_some_and(|permit| permit.admission() == Admission::Probe) {
        scope.emit(AttemptEvent::HalfOpenProbe);
    }
    scope
}

fn attempt(placed: Placed, scope: AttemptScope) -> Attempt {
    let mut request = placed.request;
    scope.inject(request.headers_mut());
    Attempt {
        request,
        scope,
        trace_id: placed.scope.trace_id().to_bytes(),
        route: placed.route,
        deadline: placed.deadline,
        number: placed.number,
        endpoint: placed.endpoint,
        permit: placed.permit,
    }
}

fn outcome_of(error: &ProxyError) -> AttemptOutcome {
    let answer = error.fault().and_then(Fault::answer);
    AttemptOutcome {
        status: answer.map(|(status, _)| status),
        grpc_status: answer.and_then(|(_, grpc)| grpc),
        flags: error.flags(),
        error: Some(error.reason()),
        ..AttemptOutcome::default()
    }
}

fn finish_with_body(mut response: Response, scope: AttemptScope) -> Response {
    let outcome = AttemptOutcome {
        status: Some(response.status().as_u16()),
        grpc_status: grpc::status(response.headers()),
        version: Some(response.version()),
        ..AttemptOutcome::default()
    };
    let refused = response.status().as_u16() >= 400;
    if refused || outcome.grpc_status.is_some_and(|code| code != 0) {
        let finish = Finish {
            scope: scope.clone(),
            outcome,
        };
        response.extensions_mut().insert(Discard(finish));
    }
    watched_response(response, Finish { scope, outcome })
}

/// Ends an attempt whose answer nobody will read, because another attempt follows:
/// otherwise its record would say that the caller went away.
pub(crate) fn discard(response: &mut Response) {
    if let Some(Discard(finish)) = response.extensions_mut().remove() {
        finish.ended(End::Complete);
    }
}

#[derive(Clone)]
struct Discard(Finish);

#[derive(Clone)]
struct Finish {
    scope: AttemptScope,
    outcome: AttemptOutcome,
}

impl Watch for Finish {
    fn trailers(&mut self, trailers: &HeaderMap) {
        self.outcome.grpc_status = grpc::status(trailers).or(self.outcome.grpc_status);
    }

    fn ended(mut self, end: End) {
        self.outcome.flags |= flags_of(end);
        if let End::Failed(broke) = end {
            self.outcome.error = Some(broke.reason);
        }
        self.scope.finish(self.outcome);
    }
}
