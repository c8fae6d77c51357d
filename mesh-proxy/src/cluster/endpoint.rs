//! One instance that can be called, with all that is known of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use mesh_telemetry::proxy::{BreakerGauge, BreakerState, ProcessEvent, emit};
use tokio::time::Instant;

use super::{
    Members,
    breaker::{Breaker, Reason},
    health::Health,
    load::PeakEwma,
};
use crate::client::{Pool, Pools, Settings, Workers};

/// No time at all: later than any instant.
pub(super) const NEVER: u64 = u64::MAX;

/// Share of its requests that an endpoint gets at the very beginning of its slow
/// start; Envoy's `min_weight_percent`.
const FIRST_SHARE: f64 = 0.1;

/// An endpoint. Shared by all policies that name it, so that its past outlives a swap.
#[derive(Debug)]
pub(crate) struct Endpoint {
    cluster: Arc<str>,
    address: Arc<str>,
    /// When the times below begin.
    base: Instant,
    breaker: Mutex<Breaker>,
    /// Shows the breaker on the page of metrics; none for the application.
    gauge: Option<BreakerGauge>,
    /// The breaker is not closed: what others may read without its lock.
    ejected: AtomicBool,
    /// When a probe of the breaker is due, in nanoseconds since `base`.
    probe_at: AtomicU64,
    /// Health checks say so.
    unhealthy: AtomicBool,
    health: Mutex<Health>,
    /// Since when it takes requests, in nanoseconds since `base`.
    warm_from: AtomicU64,
    latency: Mutex<PeakEwma>,
    in_flight: AtomicU32,
    /// Votes cast, for people and for comparison: failures and successes.
    votes: [AtomicU64; 2],
    pools: Pools,
    /// The cluster that it has left: it finishes what it has.
    left: OnceLock<Arc<Members>>,
}

impl Endpoint {
    /// An endpoint of a cluster; `base` is where the cluster's clock begins.
    pub(super) fn new(
        cluster: &str,
        address: &str,
        pools: Pools,
        base: Instant,
        now: Instant,
    ) -> Arc<Self> {
        let mut endpoint = Self::make(cluster, address, pools, base, now);
        endpoint.gauge = Some(BreakerGauge::new(&endpoint.cluster, &endpoint.address));
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
        Arc::new(Self::make(service, address, pools, now, now))
    }

    fn make(cluster: &str, address: &str, pools: Pools, base: Instant, now: Instant) -> Self {
        Self {
            cluster: cluster.into(),
            address: address.into(),
            base,
            breaker: Mutex::new(Breaker::new(now)),
            gauge: None,
            ejected: AtomicBool::new(false),
            probe_at: AtomicU64::new(NEVER),
            unhealthy: AtomicBool::new(false),
            health: Mutex::default(),
            warm_from: AtomicU64::new(nanoseconds(base, now)),
            latency: Mutex::new(PeakEwma::new(now)),
            in_flight: AtomicU32::new(0),
            votes: Default::default(),
            pools,
            left: OnceLock::new(),
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
        lock(&self.latency).load(self.in_flight(), now)
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

    /// Whether it can be chosen: neither ejected nor unhealthy, and still a member.
    #[must_use]
    pub(super) fn takes_requests(&self) -> bool {
        !self.is_ejected() && !self.is_unhealthy() && !self.has_left()
    }

    /// Out by the breaker, or on probation.
    #[must_use]
    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// Out by health checks.
    #[must_use]
    pub(crate) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed)
    }

    /// No longer a member of its cluster.
    #[must_use]
    pub(crate) fn has_left(&self) -> bool {
        self.left.get().is_some()
    }

    /// State of the breaker.
    #[must_use]
    pub(crate) fn breaker_state(&self) -> BreakerState {
        lock(&self.breaker).state()
    }

    /// Why it is ejected, and when a probe may decide; none: it is not.
    #[must_use]
    pub(crate) fn ejection(&self) -> Option<(Reason, Instant)> {
        lock(&self.breaker).ejection()
    }

    /// When a probe of the breaker is due; [`NEVER`] for one that must not be probed.
    pub(super) fn probe_at(&self) -> u64 {
        if self.is_unhealthy() || self.has_left() {
            return NEVER;
        }
        self.probe_at.load(Ordering::Relaxed)
    }

    /// Share of its requests that it gets while it warms up, up to 1.
    #[must_use]
    pub(crate) fn warmth(&self, slow_start: Duration, now: Instant) -> f64 {
        let from = Duration::from_nanos(self.warm_from.load(Ordering::Relaxed));
        let passed = now
            .saturating_duration_since(self.base)
            .saturating_sub(from);
        let share = passed.as_secs_f64() / slow_start.as_secs_f64().max(f64::MIN_POSITIVE);
        share.clamp(FIRST_SHARE, 1.0)
    }

    /// Since when it takes requests, in nanoseconds since `base`.
    pub(super) fn warm_from(&self) -> u64 {
        self.warm_from.load(Ordering::Relaxed)
    }

    pub(super) fn warm_up(&self, now: Instant) {
        let from = nanoseconds(self.base, now);
        self.warm_from.store(from, Ordering::Relaxed);
    }

    /// Moves the breaker; whoever chooses endpoints learns what became of it.
    pub(super) fn with_breaker<T>(
        &self,
        members: &Members,
        then: impl FnOnce(&mut Breaker) -> T,
    ) -> T {
        let mut breaker = lock(&self.breaker);
        let before = (breaker.state(), breaker.ejection());
        let result = then(&mut breaker);
        let (state, ejection) = (breaker.state(), breaker.ejection());
        if before != (state, ejection) {
            let due = ejection.map_or(NEVER, |(_, until)| nanoseconds(self.base, until));
            self.probe_at.store(due, Ordering::Relaxed);
            let ejected = state != BreakerState::Closed;
            if self.ejected.swap(ejected, Ordering::Relaxed) && !ejected {
                self.warm_up(Instant::now());
            }
            if let Some(gauge) = &self.gauge {
                gauge.set(state);
            }
            // Inside the lock, so that the last change is the last one heard of.
            members.refresh();
        }
        result
    }

    /// Takes it out before its breaker says so: the place among the ejected is kept.
    pub(super) fn reserve_ejection(&self) {
        self.ejected.store(true, Ordering::Relaxed);
    }

    pub(super) fn with_health<T>(&self, then: impl FnOnce(&mut Health) -> T) -> T {
        then(&mut lock(&self.health))
    }

    pub(super) fn set_unhealthy(&self, unhealthy: bool, now: Instant) {
        if self.unhealthy.swap(unhealthy, Ordering::Relaxed) && !unhealthy {
            self.warm_up(now);
        }
    }

    /// Counts an outcome for people and comparison.
    pub(super) fn count(&self, success: bool) {
        self.votes[usize::from(success)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, latency: Duration, success: bool, now: Instant) {
        lock(&self.latency).observe(latency, success, now);
    }

    /// An attempt that was given up after this time, because another was faster.
    pub(super) fn observe_at_least(&self, latency: Duration, now: Instant) {
        lock(&self.latency).observe_at_least(latency, now);
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Leaves the cluster: no new requests; connections close after what is in flight.
    pub(super) fn leave(&self, members: Arc<Members>) {
        if self.left.set(members).is_ok() {
            if let Some(gauge) = &self.gauge {
                gauge.end();
            }
            emit(&ProcessEvent::EndpointRemoved {
                cluster: &self.cluster,
                endpoint: &self.address,
            });
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(members) = self.left.get() {
            members.drained();
        }
    }
}

/// An instant as nanoseconds since `base`: fits an atomic, for 584 years.
pub(super) fn nanoseconds(base: Instant, at: Instant) -> u64 {
    let since = at.saturating_duration_since(base).as_nanos();
    u64::try_from(since).unwrap_or(NEVER - 1)
}

/// A panic while one of these short locks is held leaves nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
