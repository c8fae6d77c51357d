//! A cap of requests in flight. What is over it is shed at once: a queue would
//! only make everybody late.

use mesh_telemetry::proxy::RequestEvent;

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

    async fn call(&self, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        let Some(slot) = routed.route.limits.take_slot() else {
            let error = ProxyError::Overload;
            routed.scope.emit(RequestEvent::Shed {
                reason: error.reason(),
            });
            return Err(error);
        };
        let response = next.call(routed).await?;
        Ok(watched_response(response, Keep(slot)))
    }
}
