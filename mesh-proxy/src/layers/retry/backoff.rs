//! How long to wait before the next attempt.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};

use crate::{config::RetryPolicy, random::Random};

/// Longest wait that an endpoint can ask for with `Retry-After`. Callers of a
/// mesh wait for milliseconds; whoever wants longer is not retried.
const LONGEST_ASKED: Duration = Duration::from_secs(5);

/// A pause between zero and a bound that doubles with every attempt ("full
/// jitter": Brooker, "Exponential backoff and jitter", 2015), so that callers
/// who failed together do not return together.
#[must_use]
pub(crate) fn pause(policy: &RetryPolicy, failed: u32, random: &Random) -> Duration {
    let doublings = failed.saturating_sub(1).min(31);
    let bound = policy
        .backoff_base
        .saturating_mul(1 << doublings)
        .min(policy.backoff_cap);
    bound.mul_f64(random.unit())
}

/// What an endpoint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing: only our own backoff counts.
    Nothing,
    /// To wait at least so long.
    Wait(Duration),
    /// To wait longer than a caller would.
    TooLong,
}

/// Reads `Retry-After` in seconds; a date is not read, because the clocks of two
/// machines need not agree within the milliseconds that matter here.
#[must_use]
pub(crate) fn asked(headers: &HeaderMap) -> Asked {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse::<u64>().ok());
    match seconds.map(Duration::from_secs) {
        None => Asked::Nothing,
        Some(wait) if wait <= LONGEST_ASKED => Asked::Wait(wait),
        Some(_) => Asked::TooLong,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

    use super::{Asked, asked, pause};
    use crate::{config::RetryPolicy, random::Random};

    #[test]
    fn pauses_fill_the_range_up_to_a_bound_that_doubles_and_is_capped() {
        let policy = RetryPolicy::default();
        let random = Random::seeded(3);
        for (failed, bound) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (60, 250)] {
            let bound = Duration::from_millis(bound);
            let pauses: Vec<_> = (0..500).map(|_| pause(&policy, failed, &random)).collect();
            assert!(pauses.iter().all(|p| *p < bound));
            assert!(
                pauses.iter().any(|p| *p < bound / 10)
                    && pauses.iter().any(|p| *p > bound * 9 / 10)
            );
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let read = |text: &'static str| {
            asked(&HeaderMap::from_iter([(
                RETRY_AFTER,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(asked(&HeaderMap::new()), Asked::Nothing);
        assert_eq!(read("2"), Asked::Wait(Duration::from_secs(2)));
        assert_eq!(read("3600"), Asked::TooLong);
        assert_eq!(read("Wed, 21 Oct 2026 07:28:00 GMT"), Asked::Nothing);
    }
}
