//! A token for each request, or a refusal at once.

use super::{limit::shed, passing::Gate};
use crate::{call::Routed, error::ProxyError};

/// The layer.
pub(crate) struct RateLimit;

impl Gate<Routed> for RateLimit {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, routed: Routed) -> Result<Routed, ProxyError> {
        match routed.route.limits.take_token() {
            Ok(()) => Ok(routed),
            Err(error) => Err(shed(&routed.scope, error)),
        }
    }
}
