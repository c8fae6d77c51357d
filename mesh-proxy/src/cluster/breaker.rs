//! Breaker of one endpoint: after some failures in a row the endpoint is ejected
//! for a time that grows, then one probe decides whether it is taken back.
//!
//! Plain state, moved by the caller with the time passed in; whether the cluster
//! can do without the endpoint is the caller's question, too.

use std::time::Duration;

use mesh_telemetry::proxy::BreakerState;
use tokio::time::Instant;

/// Longest ejection, in lengths of the first: an endpoint that has healed waits no
/// longer than this for its probe, 10 s with the default. Envoy's defaults have the
/// same ratio.
const LONGEST_EJECTION: u32 = 10;

/// When to eject, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Failures in a row that eject; 0: never.
    pub consecutive_failures: u32,
    /// Length of the first ejection; it grows times 1, 2, 3, ….
    pub ejection: Duration,
}

/// How an attempt came to be at the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The breaker is closed.
    Ordinary,
    /// This attempt decides whether the breaker closes.
    Probe,
}

/// What a vote changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The endpoint is out for so long.
    Ejected(Duration),
    /// The endpoint is back.
    Readmitted,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Breaker {
    phase: Phase,
    /// How often in a row the endpoint was ejected, less what it earned back.
    times: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32, since: Instant },
    Open { until: Instant },
    HalfOpen,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        let phase = Phase::Closed {
            failures: 0,
            since: now,
        };
        Self { phase, times: 0 }
    }

    /// State as telemetry shows it.
    #[must_use]
    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// How an attempt would be admitted now; none: not at all.
    #[must_use]
    pub(crate) fn admits(&self, now: Instant) -> Option<Admission> {
        match self.phase {
            Phase::Closed { .. } => Some(Admission::Ordinary),
            Phase::Open { until } if now >= until => Some(Admission::Probe),
            Phase::Open { .. } | Phase::HalfOpen => None,
        }
    }

    /// Admits an attempt; a probe takes the one place there is.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Admission> {
        let admission = self.admits(now)?;
        if admission == Admission::Probe {
            self.phase = Phase::HalfOpen;
        }
        Some(admission)
    }

    /// A probe ended without a verdict: the next attempt may be one.
    pub(crate) fn probe_lost(&mut self, now: Instant) {
        if matches!(self.phase, Phase::HalfOpen) {
            self.phase = Phase::Open { until: now };
        }
    }

    /// Counts an outcome. `may_eject` is asked only when an ejection is due.
    pub(crate) fn vote(
        &mut self,
        success: bool,
        admission: Admission,
        limits: Limits,
        now: Instant,
        may_eject: impl FnOnce() -> bool,
    ) -> Option<Change> {
        match (self.phase, admission) {
            (Phase::HalfOpen, Admission::Probe) if success => Some(self.close(now)),
            (Phase::HalfOpen, Admission::Probe) => Some(self.open(limits, now)),
            (Phase::Closed { since, .. }, _) if success => {
                self.phase = Phase::Closed { failures: 0, since };
                None
            }
            (Phase::Closed { failures, since }, _) => {
                let failures = failures.saturating_add(1);
                self.phase = Phase::Closed { failures, since };
                let due =
                    limits.consecutive_failures > 0 && failures >= limits.consecutive_failures;
                if !due || !may_eject() {
                    return None;
                }
                self.forgive(limits, since, now);
                Some(self.open(limits, now))
            }
            // An attempt from before the ejection: its news is old.
            (Phase::Open { .. } | Phase::HalfOpen, _) => None,
        }
    }

    fn close(&mut self, now: Instant) -> Change {
        self.phase = Phase::Closed {
            failures: 0,
            since: now,
        };
        Change::Readmitted
    }

    fn open(&mut self, limits: Limits, now: Instant) -> Change {
        self.times = self.times.saturating_add(1);
        let length = limits
            .ejection
            .saturating_mul(self.times.min(LONGEST_EJECTION));
        self.phase = Phase::Open {
            until: now + length,
        };
        Change::Ejected(length)
    }

    /// Each stretch of one ejection's length spent closed takes one back.
    fn forgive(&mut self, limits: Limits, since: Instant, now: Instant) {
        let closed = now.saturating_duration_since(since).as_millis();
        let earned = closed / limits.ejection.as_millis().max(1);
        self.times = self
            .times
            .saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Admission, Breaker, Change, Limits};

    const LIMITS: Limits = Limits {
        consecutive_failures: 3,
        ejection: Duration::from_secs(5),
    };

    fn fail(breaker: &mut Breaker, now: Instant, times: u32) -> Option<Change> {
        (0..times)
            .map(|_| breaker.vote(false, Admission::Ordinary, LIMITS, now, || true))
            .last()
            .flatten()
    }

    #[tokio::test]
    async fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert_eq!(fail(&mut breaker, now, 2), None);
        breaker.vote(true, Admission::Ordinary, LIMITS, now, || true);
        assert_eq!(fail(&mut breaker, now, 2), None);
        assert_eq!(
            fail(&mut breaker, now, 1),
            Some(Change::Ejected(LIMITS.ejection))
        );
        assert_eq!(breaker.admits(now), None);
    }

    #[tokio::test]
    async fn a_cluster_that_cannot_spare_the_endpoint_keeps_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..9 {
            assert_eq!(
                breaker.vote(false, Admission::Ordinary, LIMITS, now, || false),
                None
            );
        }
        assert_eq!(breaker.admits(now), Some(Admission::Ordinary));
    }

    #[tokio::test]
    async fn one_probe_decides_and_others_wait() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        fail(&mut breaker, start, 3);
        let due = start + LIMITS.ejection;
        assert_eq!(breaker.admit(due), Some(Admission::Probe));
        assert_eq!(breaker.admit(due), None, "there is one probe at a time");
        let verdict = breaker.vote(true, Admission::Probe, LIMITS, due, || true);
        assert_eq!(verdict, Some(Change::Readmitted));
        assert_eq!(breaker.admit(due), Some(Admission::Ordinary));
    }

    #[tokio::test]
    async fn a_failed_probe_ejects_for_longer() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        fail(&mut breaker, start, 3);
        let due = start + LIMITS.ejection;
        breaker.admit(due);
        let verdict = breaker.vote(false, Admission::Probe, LIMITS, due, || true);
        assert_eq!(verdict, Some(Change::Ejected(LIMITS.ejection * 2)));
    }

    #[tokio::test]
    async fn a_probe_without_a_verdict_frees_its_place() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        fail(&mut breaker, start, 3);
        let due = start + LIMITS.ejection;
        breaker.admit(due);
        breaker.probe_lost(due);
        assert_eq!(breaker.admit(due), Some(Admission::Probe));
    }

    #[tokio::test]
    async fn old_news_does_not_move_an_open_breaker() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        fail(&mut breaker, now, 3);
        assert_eq!(
            breaker.vote(true, Admission::Ordinary, LIMITS, now, || true),
            None
        );
        assert_eq!(breaker.admits(now), None);
    }

    #[tokio::test]
    async fn a_good_time_since_the_last_ejection_shortens_the_next() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        fail(&mut breaker, start, 3);
        let due = start + LIMITS.ejection;
        breaker.admit(due);
        breaker.vote(true, Admission::Probe, LIMITS, due, || true);
        let later = due + LIMITS.ejection * 3;
        assert_eq!(
            fail(&mut breaker, later, 3),
            Some(Change::Ejected(LIMITS.ejection))
        );
    }
}
