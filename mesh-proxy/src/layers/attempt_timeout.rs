//! How long one attempt may take.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Around, Fallible};
use crate::{body::Response, call::Attempt, error::ProxyError};

/// How much earlier than the deadline an attempt ends, so that this timer fires
/// and not the request's: then the breaker, which stands in between, hears of it.
/// Two ticks of tokio's timer.
const HAIR: Duration = Duration::from_millis(2);

/// The layer.
pub(crate) struct AttemptTimeout;

impl<Next: Fallible<Attempt>> Around<Attempt, Next> for AttemptTimeout {
    type Error = ProxyError;

    async fn call(&self, attempt: Attempt, mut next: Next) -> Result<Response, ProxyError> {
        let now = Instant::now();
        let own = attempt.route.times.attempt.map(|time| now + time);
        let clamp = attempt
            .deadline
            .map(|deadline| deadline.checked_sub(HAIR).unwrap_or(now));
        let (end, error) = match (own, clamp) {
            (Some(own), Some(clamp)) if own >= clamp => (clamp, ProxyError::Deadline),
            (Some(own), _) => (own, ProxyError::AttemptTimeout),
            (None, Some(clamp)) => (clamp, ProxyError::Deadline),
            (None, None) => return next.call(attempt).await,
        };
        timeout_at(end, next.call(attempt))
            .await
            .unwrap_or(Err(error))
    }
}
