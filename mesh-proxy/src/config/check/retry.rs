//! Retries and hedges.

use super::{
    Findings,
    policy::{bounded, positive},
};
use crate::config::{Hedge, RetryPolicy, Route};

/// Most tries of one request: beyond this a retry policy is an outage amplifier.
const MAX_ATTEMPTS: u32 = 10;

/// Most attempts at once: each is paid by the endpoints, and the third helps hardly ever.
const MAX_AT_ONCE: u32 = 5;

/// Largest body that may be kept for another try, bytes. Each request in flight may
/// hold so much.
const MAX_REPLAY: u64 = 16 << 20;

pub(super) fn check(route: &Route, found: &mut Findings) {
    if let Some(retry) = &route.retry {
        found.under("retry", |found| check_retry(retry, found));
    }
    if let Some(hedge) = &route.hedge {
        found.under("hedge", |found| check_hedge(hedge, route, found));
    }
}

fn check_retry(retry: &RetryPolicy, found: &mut Findings) {
    let attempts = retry.attempts;
    found.expect((1..=MAX_ATTEMPTS).contains(&attempts), "attempts", || {
        format!("{attempts} attempts: expected 1 (no retry) to {MAX_ATTEMPTS}, the first included")
    });
    let condition = !retry.on.is_empty() || !retry.statuses.is_empty();
    found.expect(attempts <= 1 || condition, "on", || {
        "no condition is listed, so nothing would be retried: name some, as `5xx`, or set `attempts: 1`".to_owned()
    });
    found.each("statuses", &retry.statuses, |found, _, status| {
        found.expect((400..=599).contains(status), "", || {
            format!("{status} is no error status: expected 400 to 599")
        });
    });
    let (base, cap) = (retry.backoff_base, retry.backoff_cap);
    bounded("backoff_cap", cap, found);
    found.expect(base <= cap, "backoff_base", || {
        format!("{base:?} is more than `backoff_cap` {cap:?}")
    });
    found.expect(retry.replay <= MAX_REPLAY, "replay", || {
        "every request in flight may hold so much memory: expected at most `16MiB`".to_owned()
    });
}

fn check_hedge(hedge: &Hedge, route: &Route, found: &mut Findings) {
    positive("after", hedge.after, found);
    let (after, attempts) = (hedge.after, hedge.attempts);
    found.expect((2..=MAX_AT_ONCE).contains(&attempts), "attempts", || {
        format!("{attempts} attempts at once: expected 2 to {MAX_AT_ONCE}, the first included")
    });
    let (key, patience) = match route.attempt_timeout {
        Some(timeout) => ("attempt timeout", timeout),
        None => ("deadline", route.deadline),
    };
    found.expect(after < patience, "after", || {
        format!("{after:?} is not less than the {key} of {patience:?}: no hedge would ever start; about the 95th percentile of latency is usual")
    });
}

#[cfg(test)]
mod tests {
    use crate::config::check;

    #[test]
    fn what_would_do_nothing_or_too_much_is_reported() {
        for (policy, key, words) in [
            (
                "retry: { attempts: 11 }",
                "retry.attempts",
                "1 (no retry) to 10",
            ),
            ("retry: { on: [] }", "retry.on", "nothing would be retried"),
            (
                "retry: { on: [], statuses: [409, 200] }",
                "retry.statuses[1]",
                "400 to 599",
            ),
            ("retry: { replay: 17MiB }", "retry.replay", "16MiB"),
            (
                "retry: { backoff_base: 1s }",
                "retry.backoff_base",
                "backoff_cap",
            ),
            ("hedge: { after: 0ms }", "hedge.after", "more than nothing"),
            ("hedge: { after: 20s }", "hedge.after", "deadline of 15s"),
            (
                "attempt_timeout: 1s, hedge: { after: 1s }",
                "hedge.after",
                "attempt timeout",
            ),
            (
                "hedge: { after: 1s, attempts: 1 }",
                "hedge.attempts",
                "2 to 5",
            ),
        ] {
            let yaml = format!(
                "clusters: {{ a: {{}} }}\nroutes: [{{ name: r, match: {{}}, cluster: a, {policy} }}]"
            );
            let problems = check(&serde_saphyr::from_str(&yaml).unwrap());
            let key = format!("routes[0].{key}");
            let found = problems.iter().find(|problem| problem.key == key);
            let told = found.is_some_and(|problem| problem.message.contains(words));
            assert!(told, "{policy}: {problems:?}");
        }
    }
}
