//! Caps of requests in flight and of their size. What is over them is shed at once: a
//! queue would only make everybody late.

mod size;

use std::sync::Arc;

use mesh_telemetry::proxy::{RequestEvent, RequestScope};

use super::{Around, Fallible};
use crate::{
    body::{Keep, Response, watched_response},
    call::Routed,
    error::ProxyError,
};

/// The layer.
pub(crate) struct Limit;

impl<Next: Fallible<Routed>> Around<Routed, Next> for Limit {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        mut routed: Routed,
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        let scope = routed.scope.clone();
        let cut = size::bound(&mut routed).map_err(|error| shed(&scope, error))?;
        let route = Arc::clone(&routed.route);
        let slot = route.limits.take_slot();
        let slot = slot.map_err(|error| shed(&scope, error))?;
        let began = route.limits.stopwatch();
        let mut result = next.call(routed).await;
        if let Some(began) = began.filter(|_| tells_latency(&result)) {
            route.limits.observe(began);
        }
        if let Some(cut) = cut {
            result = cut.explain(result).map_err(|error| match error {
                ProxyError::BodyTooLarge { .. } => shed(&scope, error),
                other => other,
            });
        }
        Ok(watched_response(result?, Keep(slot)))
    }
}

/// Writes a refusal down.
pub(super) fn shed(scope: &RequestScope, error: ProxyError) -> ProxyError {
    scope.emit(RequestEvent::Shed {
        reason: error.reason(),
    });
    error
}

/// Whether the time to this outcome says how busy the application is: failures are
/// often quick, and would pass for a short latency.
fn tells_latency(result: &Result<Response, ProxyError>) -> bool {
    match result {
        Ok(response) => !response.status().is_server_error(),
        Err(error) => matches!(error, ProxyError::Deadline | ProxyError::AttemptTimeout),
    }
}
