//! The right to one attempt at one endpoint: `balance` takes it, `breaker` votes
//! through it. Dropped without a vote, it frees its place and blames nobody.

use std::sync::Arc;

use mesh_telemetry::proxy::BreakerState;
use tokio::time::Instant;

use super::{
    Cluster, Endpoint,
    breaker::{Admission, Change},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Permit {
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    admission: Admission,
    load: f64,
    began: Instant,
    /// When the head of the answer was there.
    answered: Option<Instant>,
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
            let (members, limits) = (&cluster.members, &cluster.limits);
            endpoint.with_breaker(members, |breaker| breaker.admit(limits, now))?
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
            answered: None,
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

    /// The head of the answer is there, the vote will follow: latency ends here.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// Casts the vote on this attempt and records its latency.
    pub(crate) fn vote(mut self, success: bool, now: Instant) -> (Option<Change>, VotedPermit) {
        self.voted = true;
        let answered = self.answered.unwrap_or(now);
        let latency = answered.saturating_duration_since(self.began);
        self.endpoint.observe(latency, success, now);
        self.endpoint.count(success);
        let (members, limits) = (&self.cluster.members, &*self.cluster.limits);
        let change = self.endpoint.with_breaker(members, |breaker| {
            let may = || members.reserve_ejection(&self.endpoint, limits.max_ejected);
            breaker.vote(success, self.admission, limits, now, may)
        });
        if let Some(change) = change {
            members.announce(&self.endpoint, change);
        }
        (change, VotedPermit(self))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.endpoint.end();
        if !self.voted && self.admission == Admission::Probe {
            self.endpoint
                .with_breaker(&self.cluster.members, |breaker| {
                    breaker.probe_lost(Instant::now());
                });
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
