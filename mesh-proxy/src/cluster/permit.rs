//! The right to one attempt at one endpoint: `balance` takes it, `breaker` votes
//! through it. Dropped without a vote, it frees its place and blames nobody.

use std::sync::Arc;

use mesh_telemetry::proxy::{BreakerState, ProcessEvent, emit};
use tokio::time::Instant;

use super::{
    Cluster, Endpoint,
    breaker::{Admission, Change},
};

/// Why the breaker ejects, in metrics and spans.
pub(crate) const EJECTION_REASON: &str = "consecutive_failures";

/// See the module.
#[derive(Debug)]
pub(crate) struct Permit {
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    admission: Admission,
    load: f64,
    began: Instant,
    voted: bool,
}

impl Permit {
    /// Takes a permit; none: the breaker opened, or another took the probe's place.
    pub(super) fn take(
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        now: Instant,
    ) -> Option<Self> {
        let admission = if endpoint.is_ejected() {
            endpoint.with_breaker(|breaker| breaker.admit(now))?
        } else {
            Admission::Ordinary
        };
        let load = endpoint.load(now);
        endpoint.begin();
        Some(Self {
            cluster: Arc::clone(cluster),
            endpoint: Arc::clone(endpoint),
            admission,
            load,
            began: now,
            voted: false,
        })
    }

    /// Where the attempt goes.
    #[must_use]
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Load of the endpoint when it was chosen: seconds times attempts in flight.
    #[must_use]
    pub(crate) fn load(&self) -> f64 {
        self.load
    }

    /// Ordinary, or the probe of a half-open breaker.
    #[must_use]
    pub(crate) fn admission(&self) -> Admission {
        self.admission
    }

    /// Casts the vote on this attempt and records its latency, once; later calls do nothing.
    pub(crate) fn vote(mut self, success: bool, now: Instant) -> (Option<Change>, VotedPermit) {
        self.voted = true;
        let latency = now.saturating_duration_since(self.began);
        self.endpoint.observe(latency, success, now);
        let limits = self.cluster.limits();
        let change = self.endpoint.with_breaker(|breaker| {
            breaker.vote(success, self.admission, limits, now, || {
                self.cluster.may_eject()
            })
        });
        if let Some(change) = change {
            self.report(change);
        }
        (change, VotedPermit(self))
    }

    fn report(&self, change: Change) {
        let (cluster, endpoint) = (&*self.cluster.name, self.endpoint.address());
        match change {
            Change::Ejected(_) => emit(&ProcessEvent::EndpointEjected {
                cluster,
                endpoint,
                reason: EJECTION_REASON,
            }),
            Change::Readmitted => emit(&ProcessEvent::EndpointReadmitted { cluster, endpoint }),
        }
        self.cluster.report_endpoints();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.endpoint.end();
        if !self.voted && self.admission == Admission::Probe {
            self.endpoint
                .with_breaker(|breaker| breaker.probe_lost(Instant::now()));
        }
    }
}

/// A permit whose vote is cast: it still counts as load until it is dropped.
#[derive(Debug)]
pub(crate) struct VotedPermit(#[expect(dead_code, reason = "held for its drop")] Permit);

impl Endpoint {
    /// For people: `closed`, `half_open` or `open`.
    #[must_use]
    pub(crate) fn breaker_name(&self) -> &'static str {
        match self.breaker_state() {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}
