//! Breakers of endpoints: the one metric with an address among its labels.
//!
//! Addresses come and go without end, as pods do, and the recorder forgets no series.
//! So these are kept here, and a series ends with its endpoint.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::BreakerState;
use crate::catalog::BREAKER_STATE;

/// Cluster, endpoint, and which of several with this name: an address may return
/// before the last request to it has ended.
type Key = (Arc<str>, Arc<str>, u64);

/// Of the process, like the recorder.
static BREAKERS: Mutex<BTreeMap<Key, BreakerState>> = Mutex::new(BTreeMap::new());

/// The series of one endpoint's breaker, closed at first; it ends with its owner.
#[derive(Debug)]
pub struct BreakerGauge(Key);

impl BreakerGauge {
    /// The series exists from now on.
    #[must_use]
    pub fn new(cluster: &Arc<str>, endpoint: &Arc<str>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let key = (Arc::clone(cluster), Arc::clone(endpoint), number);
        breakers().insert(key.clone(), BreakerState::Closed);
        Self(key)
    }

    /// The breaker has changed. Without effect after [`BreakerGauge::end`].
    pub fn set(&self, state: BreakerState) {
        if let Some(known) = breakers().get_mut(&self.0) {
            *known = state;
        }
    }

    /// The series ends now, for good.
    pub fn end(&self) {
        breakers().remove(&self.0);
    }
}

impl Drop for BreakerGauge {
    fn drop(&mut self) {
        self.end();
    }
}

fn breakers() -> MutexGuard<'static, BTreeMap<Key, BreakerState>> {
    BREAKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the series to a page of metrics.
pub(crate) fn render(page: &mut String) {
    let breakers = breakers();
    if breakers.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n",
        name = BREAKER_STATE.name,
        help = BREAKER_STATE.help,
        kind = BREAKER_STATE.kind.as_str()
    );
    let mut series = breakers.iter().peekable();
    while let Some(((cluster, endpoint, _), state)) = series.next() {
        let again = |((next, other, _), _): &(&Key, _)| (next, other) == (cluster, endpoint);
        if series.peek().is_none_or(|next| !again(next)) {
            add(page, [cluster, endpoint], *state);
        }
    }
    page.push('\n');
}

fn add(page: &mut String, values: [&str; 2], state: BreakerState) {
    page.push_str(BREAKER_STATE.name);
    for (name, (value, before)) in BREAKER_STATE
        .labels
        .iter()
        .zip(values.iter().zip("{,".chars()))
    {
        let value = value
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(page, "{before}{name}=\"{value}\"");
    }
    let state = match state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    };
    let _ = writeln!(page, "}} {state}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{BreakerGauge, BreakerState, render};

    fn gauge(cluster: &str, endpoint: &str) -> BreakerGauge {
        BreakerGauge::new(&Arc::from(cluster), &Arc::from(endpoint))
    }

    /// Series of this cluster: other tests have theirs in the same process.
    fn series(cluster: &str) -> Vec<String> {
        let mut page = String::new();
        render(&mut page);
        let of_cluster = format!("{{destination=\"{cluster}\",");
        let lines = page.lines().filter(|line| line.contains(&of_cluster));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn the_newest_of_an_address_is_shown_and_an_ended_one_never_again() {
        let old = gauge("again", "x:1");
        old.set(BreakerState::Open);
        let new = gauge("again", "x:1");
        new.set(BreakerState::HalfOpen);
        let of =
            |state| format!("mesh_breaker_state{{destination=\"again\",endpoint=\"x:1\"}} {state}");
        assert_eq!(series("again"), [of(1)]);
        drop(new);
        assert_eq!(series("again"), [of(2)]);
        old.end();
        old.set(BreakerState::Closed);
        assert!(series("again").is_empty());
    }

    #[test]
    fn ten_thousand_addresses_that_come_and_go_leave_nothing() {
        let mut here = Vec::new();
        for number in 0..10_000 {
            here.push(gauge("churn", &format!("10.0.0.1:{number}")));
            if here.len() > 10 {
                here.remove(0);
            }
        }
        assert_eq!(series("churn").len(), 10);
        here.clear();
        assert!(series("churn").is_empty());
    }
}
