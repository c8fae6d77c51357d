//! How long one attempt may take.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::Response,
    call::{Attempt, Due},
    error::ProxyError,
};

/// How much earlier than the deadline an attempt ends, so that this timer fires
/// and not the request's: then the breaker, which stands in between, hears of it.
/// Two ticks of tokio's timer.
const HAIR: Duration = Duration::from_millis(2);

/// The layer.
pub(crate) struct AttemptTimeout;

impl Detour<Attempt> for AttemptTimeout {
    fn is_needed(&self, attempt: &Attempt) -> bool {
        attempt.deadline.is_some() || attempt.route.times.attempt.is_some()
    }
}

impl<Next: Fallible<Attempt>> Around<Attempt, Next> for AttemptTimeout {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        attempt: Attempt,
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        let now = Instant::now();
        let own = attempt.route.times.attempt.map(|time| now + time);
        let due = attempt.deadline.clone();
        let clamp = due
            .as_ref()
            .map(|due| due.instant().checked_sub(HAIR).unwrap_or(now));
        let (end, error) = match (own, clamp) {
            (Some(own), Some(clamp)) if own >= clamp => (clamp, ProxyError::Deadline),
            (Some(own), _) => (own, ProxyError::AttemptTimeout),
            (None, Some(clamp)) => (clamp, ProxyError::Deadline),
            (None, None) => return next.call(attempt).await,
        };
        let _kept = due.as_ref().map(Due::keep);
        timeout_at(end, next.call(attempt))
            .await
            .unwrap_or(Err(error))
    }
}
