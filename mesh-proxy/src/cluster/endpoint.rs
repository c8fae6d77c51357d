//! One instance that can be called, with all that is known of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use mesh_telemetry::proxy::{BreakerState, ProcessEvent, emit};
use tokio::time::Instant;

use super::{
    breaker::{Admission, Breaker},
    load::PeakEwma,
};
use crate::client::{Pool, Pools, Settings, Workers};

/// An endpoint. Shared by all policies that name it, so that its past outlives a swap.
#[derive(Debug)]
pub(crate) struct Endpoint {
    cluster: Arc<str>,
    address: Arc<str>,
    breaker: Mutex<Breaker>,
    /// The breaker is not closed: what others may read without its lock.
    ejected: AtomicBool,
    latency: Mutex<PeakEwma>,
    in_flight: AtomicU32,
    /// Votes cast, for people: failures and successes.
    votes: [AtomicU64; 2],
    pools: Pools,
    /// Belongs to a cluster, and shows in its gauges.
    reported: bool,
}

impl Endpoint {
    pub(crate) fn new(
        cluster: &str,
        address: &str,
        settings: &Arc<Settings>,
        workers: Workers,
        now: Instant,
    ) -> Arc<Self> {
        let pools = Pools::new(settings, workers);
        let endpoint = Self::make(cluster, address, pools, now, true);
        endpoint.report(BreakerState::Closed);
        Arc::new(endpoint)
    }

    /// The application beside this sidecar: never balanced, never ejected.
    pub(crate) fn application(
        service: &str,
        address: &str,
        settings: &Arc<Settings>,
        workers: Workers,
        now: Instant,
    ) -> Arc<Self> {
        let pools = Pools::new(settings, workers);
        Arc::new(Self::make(service, address, pools, now, false))
    }

    fn make(cluster: &str, address: &str, pools: Pools, now: Instant, reported: bool) -> Self {
        Self {
            cluster: cluster.into(),
            address: address.into(),
            breaker: Mutex::new(Breaker::new(now)),
            ejected: AtomicBool::new(false),
            latency: Mutex::new(PeakEwma::new(now)),
            in_flight: AtomicU32::new(0),
            votes: Default::default(),
            pools,
            reported,
        }
    }

    /// `host:port`.
    #[must_use]
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same, to be kept.
    #[must_use]
    pub(crate) fn address_handle(&self) -> Arc<str> {
        Arc::clone(&self.address)
    }

    /// Name of its cluster.
    #[must_use]
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Connections of a worker.
    pub(crate) fn pool(&self, worker: usize) -> &Arc<Pool> {
        self.pools.of(worker)
    }

    /// Says how the endpoint is spoken to from now on.
    pub(crate) fn configure(&self, settings: &Arc<Settings>) {
        self.pools.configure(settings);
    }

    /// Latency, seconds, times attempts in flight with the one that is asked for.
    #[must_use]
    pub(crate) fn load(&self, now: Instant) -> f64 {
        let latency = lock(&self.latency).read(now);
        latency * (f64::from(self.in_flight()) + 1.0)
    }

    /// Attempts that have an answer outstanding or a body unread.
    #[must_use]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Votes cast since the endpoint is known: failures and successes.
    #[must_use]
    pub(crate) fn votes(&self) -> [u64; 2] {
        self.votes
            .each_ref()
            .map(|votes| votes.load(Ordering::Relaxed))
    }

    /// Out by the breaker, or on probation.
    #[must_use]
    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// State of the breaker.
    #[must_use]
    pub(crate) fn breaker_state(&self) -> BreakerState {
        lock(&self.breaker).state()
    }

    /// How an attempt would be admitted now; none: not at all.
    #[must_use]
    pub(crate) fn admits(&self, now: Instant) -> Option<Admission> {
        if !self.is_ejected() {
            return Some(Admission::Ordinary); // without the lock: nearly always
        }
        lock(&self.breaker).admits(now)
    }

    pub(super) fn with_breaker<T>(&self, then: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = lock(&self.breaker);
        let before = breaker.state();
        let result = then(&mut breaker);
        let after = breaker.state();
        if before != after {
            self.ejected
                .store(after != BreakerState::Closed, Ordering::Relaxed);
            self.report(after);
        }
        result
    }

    pub(super) fn observe(&self, latency: Duration, success: bool, now: Instant) {
        self.votes[usize::from(success)].fetch_add(1, Ordering::Relaxed);
        lock(&self.latency).observe(latency, success, now);
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn report(&self, state: BreakerState) {
        emit(&ProcessEvent::Breaker {
            cluster: &self.cluster,
            endpoint: &self.address,
            state,
        });
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if !self.reported {
            return;
        }
        emit(&ProcessEvent::EndpointRemoved {
            cluster: &self.cluster,
            endpoint: &self.address,
        });
    }
}

/// A panic while one of these short locks is held leaves nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
