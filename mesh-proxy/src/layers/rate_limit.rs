//! A token for each request, or a refusal at once.

use mesh_telemetry::proxy::RequestEvent;

use super::{Around, Fallible};
use crate::{body::Response, call::Routed, error::ProxyError};

/// The layer.
pub(crate) struct RateLimit;

impl<Next: Fallible<Routed>> Around<Routed, Next> for RateLimit {
    type Error = ProxyError;

    async fn call(&self, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        if !routed.route.limits.take_token() {
            let error = ProxyError::RateLimited;
            routed.scope.emit(RequestEvent::Shed {
                reason: error.reason(),
            });
            return Err(error);
        }
        next.call(routed).await
    }
}
