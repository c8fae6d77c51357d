//! Breaker of one endpoint: after too many failures the endpoint is ejected for a
//! time that grows, then one probe decides whether it is taken back.
//!
//! Plain state, moved by the caller with the time passed in; whether the cluster
//! can do without the endpoint is the caller's question, too.

use std::time::Duration;

use mesh_telemetry::proxy::BreakerState;
use tokio::time::Instant;

use super::window::{Counts, Window};
use crate::{
    config::{self, FailureShare},
    random::Random,
};

/// Longest ejection where the policy names none, in lengths of the first: an endpoint
/// that has healed waits no longer than this for its probe, 10 s with the default.
/// Envoy's defaults have the same ratio.
const LONGEST_EJECTION: u32 = 10;

/// How much of an ejection is left to chance, so that the sidecars of a mesh do not
/// all probe a restarted instance in one moment.
const JITTER: f64 = 0.1;

/// When to eject, and for how long.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Failures in a row that eject; 0: never.
    pub(crate) consecutive_failures: u32,
    /// Share of failures that ejects; none: it does not.
    pub(crate) failure_share: Option<FailureShare>,
    /// Length of the first ejection; it grows times 1, 2, 3, …, less up to a tenth.
    pub(crate) ejection: Duration,
    /// No ejection is longer.
    pub(crate) max_ejection: Duration,
    /// Share of the endpoints that may be out at once, 0 to 1.
    pub(crate) max_ejected: f64,
    /// Source of the jitter.
    pub(crate) random: Random,
}

impl Limits {
    pub(crate) fn of(settings: &config::Cluster, random: Random) -> Self {
        let ejection = settings.ejection;
        Self {
            consecutive_failures: settings.consecutive_failures,
            failure_share: settings.failure_share.clone(),
            ejection,
            max_ejection: settings
                .max_ejection
                .unwrap_or_else(|| ejection.saturating_mul(LONGEST_EJECTION)),
            max_ejected: settings.max_ejected,
            random,
        }
    }

    fn length(&self, times: u32) -> Duration {
        let length = self.ejection.saturating_mul(times).min(self.max_ejection);
        length.mul_f64(1.0 - JITTER * self.random.unit())
    }
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// Too large a share of the attempts in the window.
    FailureShare,
    /// Far more failures than the other endpoints have.
    SuccessRate,
}

impl Reason {
    /// As it stands in metrics and spans.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureShare => "failure_share",
            Self::SuccessRate => "success_rate",
        }
    }
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
    Ejected(Reason, Duration),
    /// The endpoint is back.
    Readmitted,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Breaker {
    phase: Phase,
    /// How often in a row the endpoint was ejected, less what it earned back.
    times: u32,
    /// Why it was ejected last.
    reason: Reason,
    /// Outcomes while it is closed; none before there is a limit on their share.
    window: Option<Box<Window>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed {
        failures: u32,
        since: Instant,
    },
    Open {
        until: Instant,
    },
    /// A probe that has not decided by then is given up on: another may be one.
    HalfOpen {
        until: Instant,
    },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        let phase = Phase::Closed {
            failures: 0,
            since: now,
        };
        Self {
            phase,
            times: 0,
            reason: Reason::ConsecutiveFailures,
            window: None,
        }
    }

    /// State as telemetry shows it.
    #[must_use]
    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Why the endpoint is out, and when a probe may be sent; none: it is not out.
    #[must_use]
    pub(crate) fn ejection(&self) -> Option<(Reason, Instant)> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until } | Phase::HalfOpen { until } => Some((self.reason, until)),
        }
    }

    /// Admits an attempt; a probe takes the one place there is. None: not now.
    pub(crate) fn admit(&mut self, limits: &Limits, now: Instant) -> Option<Admission> {
        match self.ejection() {
            None => Some(Admission::Ordinary),
            Some((_, until)) if now >= until => {
                // A probe may be a stream that lasts for hours: the next one waits for
                // its verdict as long as for a first ejection, and no longer.
                let until = now + limits.ejection;
                self.phase = Phase::HalfOpen { until };
                Some(Admission::Probe)
            }
            Some(_) => None,
        }
    }

    /// A probe ended without a verdict: the next attempt may be one.
    pub(crate) fn probe_lost(&mut self, now: Instant) {
        if matches!(self.phase, Phase::HalfOpen { .. }) {
            self.phase = Phase::Open { until: now };
        }
    }

    /// Counts an outcome. `may_eject` is asked only when an ejection is due.
    pub(crate) fn vote(
        &mut self,
        success: bool,
        admission: Admission,
        limits: &Limits,
        now: Instant,
        may_eject: impl FnOnce() -> bool,
    ) -> Option<Change> {
        match (self.phase, admission) {
            (Phase::HalfOpen { .. }, Admission::Probe) if success => Some(self.close(now)),
            (Phase::HalfOpen { .. }, Admission::Probe) => Some(self.open(self.reason, limits, now)),
            (Phase::Closed { failures, since }, _) => {
                let failures = if success {
                    0
                } else {
                    failures.saturating_add(1)
                };
                self.phase = Phase::Closed { failures, since };
                let counts = self.count(success, limits, now);
                let reason = due(success, failures, counts, limits)?;
                self.eject(reason, limits, now, may_eject)
            }
            // An attempt from before the ejection: its news is old.
            (Phase::Open { .. } | Phase::HalfOpen { .. }, _) => None,
        }
    }

    /// Ejects a closed endpoint on a verdict from outside.
    pub(crate) fn eject(
        &mut self,
        reason: Reason,
        limits: &Limits,
        now: Instant,
        may_eject: impl FnOnce() -> bool,
    ) -> Option<Change> {
        let Phase::Closed { since, .. } = self.phase else {
            return None;
        };
        if !may_eject() {
            return None;
        }
        self.forgive(limits, since, now);
        Some(self.open(reason, limits, now))
    }

    fn count(&mut self, success: bool, limits: &Limits, now: Instant) -> Counts {
        let Some(share) = &limits.failure_share else {
            return Counts::default();
        };
        let window = self
            .window
            .get_or_insert_with(|| Box::new(Window::new(now)));
        window.count(success, share.window, now)
    }

    fn close(&mut self, now: Instant) -> Change {
        self.phase = Phase::Closed {
            failures: 0,
            since: now,
        };
        self.window = None;
        Change::Readmitted
    }

    fn open(&mut self, reason: Reason, limits: &Limits, now: Instant) -> Change {
        self.times = self.times.saturating_add(1);
        self.reason = reason;
        let length = limits.length(self.times);
        self.phase = Phase::Open {
            until: now + length,
        };
        Change::Ejected(reason, length)
    }

    /// Each stretch of one ejection's length spent closed takes one back.
    fn forgive(&mut self, limits: &Limits, since: Instant, now: Instant) {
        let closed = now.saturating_duration_since(since).as_millis();
        let earned = closed / limits.ejection.as_millis().max(1);
        self.times = self
            .times
            .saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
    }
}

/// Whether a failure is one too many.
fn due(success: bool, failures: u32, counts: Counts, limits: &Limits) -> Option<Reason> {
    if success {
        return None;
    }
    if limits.consecutive_failures > 0 && failures >= limits.consecutive_failures {
        return Some(Reason::ConsecutiveFailures);
    }
    let limit = limits.failure_share.as_ref()?;
    let share = f64::from(counts.failures) / f64::from(counts.attempts.max(1));
    (counts.attempts >= limit.minimum && share >= limit.share).then_some(Reason::FailureShare)
}

#[cfg(test)]
mod tests;
