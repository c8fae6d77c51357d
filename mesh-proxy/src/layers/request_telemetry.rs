//! One record for the whole request: begun before anything is decided about it,
//! ended with its last byte, or when the caller goes away.

use std::{convert::Infallible, future::Future, sync::Arc};

use http::{HeaderMap, Method};
use mesh_telemetry::proxy::{Direction, Flags, RequestEvent, RequestOutcome, RequestScope, Sink};
use tower::Service;

use super::Around;
use crate::{
    body::{End, Request, Response, Watch, watched_response},
    call::Call,
    grpc,
    server::Severed,
    shared::Shared,
    tls::Peer,
};

/// The layer.
pub(crate) struct RequestTelemetry {
    sink: Sink,
    direction: Direction,
}

impl RequestTelemetry {
    pub(crate) fn outbound(shared: &Shared) -> Self {
        Self {
            sink: shared.sink.clone(),
            direction: Direction::Outbound,
        }
    }

    pub(crate) fn inbound(shared: &Shared) -> Self {
        Self {
            sink: shared.sink.clone(),
            direction: Direction::Inbound,
        }
    }
}

impl<Next> Around<Request, Next> for RequestTelemetry
where
    Next: Service<Call, Response = Response, Error = Infallible> + Send + 'static,
    Next::Future: Future<Output = Result<Response, Infallible>> + Send,
{
    type Error = Infallible;

    async fn call(
        self: Arc<Self>,
        request: Request,
        mut next: Next,
    ) -> Result<Response, Infallible> {
        let (head, body) = request.into_parts();
        let head_only = head.method == Method::HEAD;
        let scope = RequestScope::begin(&self.sink, self.direction, &head);
        if let Some(peer) = head.extensions.get::<Arc<Peer>>() {
            scope.emit(RequestEvent::Secured(Arc::clone(peer.secured())));
        }
        let call = Call {
            request: Request::from_parts(head, body),
            scope: scope.clone(),
        };
        let mut response = next.call(call).await?;
        let verdict = response
            .extensions_mut()
            .remove::<Verdict>()
            .unwrap_or_default();
        let answered = response.extensions().get::<Severed>().is_none();
        let outcome = RequestOutcome {
            status: answered.then(|| response.status().as_u16()),
            grpc_status: grpc::status(response.headers()),
            flags: verdict.flags,
            reason: verdict.reason,
            bytes: Some(0),
        };
        Ok(watched_response(
            response,
            Finish {
                scope,
                outcome,
                head_only,
            },
        ))
    }
}

/// What the layers inside know about a response, beside its status.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    /// Envoy's letters.
    pub(crate) flags: Flags,
    /// Bounded code, when the response was made here.
    pub(crate) reason: Option<&'static str>,
}

struct Finish {
    scope: RequestScope,
    outcome: RequestOutcome,
    /// Nobody reads the body of an answer to `HEAD`.
    head_only: bool,
}

impl Watch for Finish {
    fn data(&mut self, length: usize) {
        let before = self.outcome.bytes.unwrap_or_default();
        self.outcome.bytes = Some(before + length as u64);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.outcome.grpc_status = grpc::status(trailers).or(self.outcome.grpc_status);
    }

    fn ended(mut self, end: End) {
        let end = match end {
            End::Dropped if self.head_only => End::Complete,
            end => end,
        };
        self.outcome.flags |= flags_of(end);
        if let End::Failed(broke) = end {
            self.outcome.reason = Some(broke.reason);
        }
        self.scope.finish(self.outcome);
    }
}

/// Flags for the way in which a response's body ended.
pub(crate) fn flags_of(end: End) -> Flags {
    match end {
        End::Complete => Flags::NONE,
        End::Failed(broke) => broke.flags,
        End::Dropped => Flags::DOWNSTREAM_CLOSED,
    }
}
