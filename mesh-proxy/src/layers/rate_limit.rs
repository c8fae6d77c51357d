//! A token for each request, or a refusal at once.

use super::{Around, Fallible, limit::shed};
use crate::{body::Response, call::Routed, error::ProxyError};

/// The layer.
pub(crate) struct RateLimit;

impl<Next: Fallible<Routed>> Around<Routed, Next> for RateLimit {
    type Error = ProxyError;

    async fn call(&self, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        if let Err(error) = routed.route.limits.take_token() {
            return Err(shed(&routed.scope, error));
        }
        next.call(routed).await
    }
}
