//! The right to one attempt at one endpoint: `balance` takes it, `breaker` votes
//! through it. Dropped without a vote, it frees its place and blames nobody; but where
//! another attempt was faster, the balancer learns how long this one had taken by then.

use std::sync::Arc;

use mesh_telemetry::proxy::BreakerState;
use tokio::time::Instant;

use super::{
    Cluster, Endpoint,
    breaker::{Admission, Change},
};
use crate::call::Tried;

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
    /// Other tries of the same request.
    tried: Option<Tried>,
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
            tried: None,
        })
    }

    /// The permit of one try among others.
    pub(crate) fn among(mut self, tried: &Tried) -> Self {
        tried.add(&self.endpoint);
        self.tried = Some(tried.clone());
        self
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

    /// The head of the answer is there: latency ends here, whether or not a vote follows.
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

impl Permit {
    fn is_overtaken(&self) -> bool {
        let lost = || self.tried.as_ref().is_some_and(Tried::is_won);
        !self.voted && self.answered.is_none() && lost()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.endpoint.end();
        if self.is_overtaken() {
            let now = Instant::now();
            let took = now.saturating_duration_since(self.began);
            self.endpoint.observe_at_least(took, now);
        }
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
