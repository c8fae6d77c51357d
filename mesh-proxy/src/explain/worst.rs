//! The most that a request can cost; [`WorstCase`] has the formula.

use std::time::Duration;

use super::WorstCase;
use crate::config::{FaultKind, Position, RetryPolicy, Route, Rule};

pub(super) fn case(
    route: &Route,
    repeatable: bool,
    deadline: Duration,
    faults: &[Rule],
) -> WorstCase {
    let attempts = if repeatable { most_attempts(route) } else { 1 };
    let one = route.attempt_timeout.unwrap_or(deadline);
    let delays: Duration = faults
        .iter()
        .filter(|rule| rule.position == Position::Request)
        .map(|rule| longest(rule).unwrap_or(deadline))
        .fold(Duration::ZERO, Duration::saturating_add);
    let pauses = route
        .retry
        .as_ref()
        .map_or(Duration::ZERO, |retry| pauses(retry, attempts));
    let all = one
        .saturating_mul(attempts)
        .saturating_add(pauses)
        .saturating_add(delays);
    WorstCase {
        attempts,
        latency: all.min(deadline),
    }
}

/// Longest that a rule holds a request; none: nobody can tell.
fn longest(rule: &Rule) -> Option<Duration> {
    let strikes = |kind| rule.percent_of(kind) > 0.0;
    if rule.hang && strikes(FaultKind::Hang) {
        return None;
    }
    match rule.delay.filter(|_| strikes(FaultKind::Delay)) {
        Some(delay) => delay.longest(),
        None => Some(Duration::ZERO),
    }
}

/// Attempts of a request that may be repeated.
pub(crate) fn most_attempts(route: &Route) -> u32 {
    let retries = route.retry.as_ref().map_or(1, |retry| retry.attempts);
    let hedges = route.hedge.as_ref().map_or(1, |hedge| hedge.attempts);
    retries.max(hedges).max(1)
}

/// All pauses between so many attempts, at their longest.
pub(crate) fn pauses(retry: &RetryPolicy, attempts: u32) -> Duration {
    (1..attempts.min(retry.attempts))
        .map(|failed| {
            let bound = retry.backoff_base.saturating_mul(1 << (failed - 1).min(31));
            bound.min(retry.backoff_cap)
        })
        .sum()
}
