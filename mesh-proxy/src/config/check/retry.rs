//! Retries and hedges.

use super::Findings;
use crate::config::RetryPolicy;

/// Most tries of one request: beyond this a retry policy is an outage amplifier.
const MAX_ATTEMPTS: u32 = 10;

pub(super) fn check(retry: &RetryPolicy, found: &mut Findings) {
    found.expect(
        (1..=MAX_ATTEMPTS).contains(&retry.attempts),
        "attempts",
        || {
            format!(
                "{} attempts: expected 1 (no retry) to {MAX_ATTEMPTS}, the first included",
                retry.attempts
            )
        },
    );
    found.expect(retry.attempts <= 1 || !retry.on.is_empty(), "on", || {
        "no condition is listed, so nothing would be retried: name some, as `5xx`, or set `attempts: 1`".to_owned()
    });
    found.expect(
        retry.backoff_base <= retry.backoff_cap,
        "backoff_base",
        || {
            format!(
                "{:?} is more than `backoff_cap` {:?}",
                retry.backoff_base, retry.backoff_cap
            )
        },
    );
}
