//! Advice about one route.

use std::time::Duration;

use humantime::format_duration;

use super::{Notes, cluster::leads_to};
use crate::{
    client::is_idempotent,
    config::{RetryPolicy, Route, RouteMatch, Split},
    explain::pauses,
};

pub(super) fn lint(route: &Route, notes: &mut Notes<'_>) {
    if let Some(retry) = route.retry.as_ref().filter(|retry| retry.attempts > 1) {
        attempts_that_never_happen(route, retry, notes);
        unsafe_repetition(route, retry, notes);
        if retry.backoff_cap.is_zero() {
            notes.note(
                "retry.backoff_cap",
                "all who failed together come back together: a pause, as `250ms`, spreads them",
            );
        }
    }
    if route.hedge.is_some() && route.attempt_timeout.is_none() && route.retry.is_none() {
        notes.note("hedge", "an attempt that hangs holds its place until the deadline: give an `attempt_timeout`, too");
    }
    if let Some(mirror) = route
        .mirror
        .as_ref()
        .filter(|it| leads_to(route, &it.cluster))
    {
        let message = format!(
            "`{}` gets its own requests a second time: mirror to another cluster",
            mirror.cluster
        );
        notes.note("mirror.cluster", message);
    }
    if let Some(split) = &route.split {
        lone_part(split, notes);
    }
    let catches_all = route.matches == RouteMatch::default();
    if let Some(respond) = route
        .respond
        .as_ref()
        .filter(|it| catches_all && it.status < 400)
    {
        let message = format!(
            "every request that no route above means is answered with {}, mistakes included: an error, as 404, shows them",
            respond.status
        );
        notes.note("respond.status", message);
    }
}

fn attempts_that_never_happen(route: &Route, retry: &RetryPolicy, notes: &mut Notes<'_>) {
    let deadline = format_duration(route.deadline);
    let Some(timeout) = route.attempt_timeout else {
        let message = format!(
            "without one, an attempt that hangs uses up the deadline of {deadline}, and is not retried: a part of it, as `{}`",
            format_duration(share(route.deadline, retry.attempts))
        );
        notes.note("attempt_timeout", message);
        return;
    };
    // The last one starts after all others and the pauses between them, at their longest.
    let before = timeout.saturating_mul(retry.attempts - 1) + pauses(retry, retry.attempts);
    let needed = before + route.attempt_min;
    if needed > route.deadline {
        let last = retry.attempts;
        let message = format!(
            "{last} attempts of {} do not fit into the deadline of {deadline}: when the others time out, attempt {last} may never start; a deadline of {} is enough, or fewer attempts, or a shorter attempt timeout",
            format_duration(timeout),
            format_duration(round_up(needed))
        );
        notes.note("retry.attempts", message);
    }
}

/// An even part of the deadline, in whole milliseconds.
fn share(deadline: Duration, attempts: u32) -> Duration {
    let part = (deadline / attempts.max(1)).as_millis();
    Duration::from_millis(u64::try_from(part.max(1)).unwrap_or(u64::MAX))
}

/// To the next 100 ms.
fn round_up(time: Duration) -> Duration {
    const STEP: u128 = 100;
    let rounded = time.as_millis().div_ceil(STEP) * STEP;
    Duration::from_millis(u64::try_from(rounded).unwrap_or(u64::MAX))
}

fn unsafe_repetition(route: &Route, retry: &RetryPolicy, notes: &mut Notes<'_>) {
    let methods = &route.matches.methods;
    let is_unsafe = |method: &String| {
        method
            .parse::<http::Method>()
            .is_ok_and(|method| !is_idempotent(&method))
    };
    if retry.any_method && (methods.is_empty() || methods.iter().any(is_unsafe)) {
        notes.note("retry.any_method", "a `POST` that was carried out and then failed is carried out again: let callers send an `Idempotency-Key`, which is retried without this, or list `methods` in the match");
    }
}

fn lone_part(split: &Split, notes: &mut Notes<'_>) {
    let mut weighty = split.clusters.iter().filter(|(_, weight)| **weight > 0);
    if let (Some((name, _)), None) = (weighty.next(), weighty.next()) {
        notes.note("split", format!("all requests go to `{name}`: write `cluster: {name}`, or give another cluster a weight"));
    }
}
