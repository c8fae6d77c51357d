//! The endpoints of a cluster while they come and go. They outlive the policies
//! that name them, with all that is known of them; who reads them takes the
//! [`Set`] that is current.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::{sync::watch, time::Instant};

use super::{
    Endpoint,
    breaker::{Change, Limits, Reason},
    discovery::Found,
    endpoint::nanoseconds,
    set::{Member, Origin, Set, Shape},
};
use crate::{
    client::{Pools, Settings, Workers},
    config::{self, Balance},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Members {
    cluster: Arc<str>,
    workers: Workers,
    /// Where the cluster's clock begins.
    base: Instant,
    current: ArcSwap<Set>,
    /// Held while a new set is made. A breaker's lock may be held before, never after.
    plan: Mutex<Plan>,
    /// Members that have left and still have requests.
    draining: AtomicUsize,
    /// The policy has dropped the cluster: its gauges are nobody's any more.
    retired: AtomicBool,
    /// Held while the gauges are set.
    reporting: Mutex<()>,
    state: watch::Sender<State>,
    /// Whose turn it is, where endpoints take turns.
    pub(super) turn: AtomicUsize,
}

/// What the members should be.
#[derive(Debug, Default)]
struct Plan {
    listed: Vec<Found>,
    dns: Option<config::Dns>,
    found: Vec<Found>,
    shape: Shape,
    /// How they are spoken to.
    wire: Option<Arc<Settings>>,
}

impl Plan {
    /// Those that should be members; one that is listed and found is listed.
    fn wanted(&self) -> impl Iterator<Item = (&Found, Origin)> {
        let is_listed = |found: &&Found| self.listed.iter().any(|it| it.address == found.address);
        let found = self.found.iter().filter(move |found| !is_listed(found));
        let listed = self.listed.iter().map(|it| (it, Origin::Listed));
        listed.chain(found.map(|it| (it, Origin::Dns)))
    }
}

/// What others wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Grows whenever members come or go.
    pub(super) version: u64,
    /// A first answer of discovery is still awaited.
    pub(super) pending: bool,
}

impl Members {
    /// Of a cluster that has none yet.
    pub(super) fn new(cluster: &Arc<str>, workers: Workers, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            cluster: Arc::clone(cluster),
            workers,
            base: now,
            current: ArcSwap::default(),
            plan: Mutex::default(),
            draining: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            reporting: Mutex::new(()),
            state: watch::Sender::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The set in force.
    pub(crate) fn load(&self) -> Guard<Arc<Set>> {
        self.current.load()
    }

    /// An instant on the cluster's clock.
    pub(super) fn clock(&self, at: Instant) -> u64 {
        nanoseconds(self.base, at)
    }

    /// Follows what members there are.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Whether a first answer of discovery is still awaited.
    pub(super) fn is_pending(&self) -> bool {
        self.state.borrow().pending
    }

    /// Takes over what a policy says of the members. What discovery found stays as
    /// long as the same name is asked for.
    pub(super) fn configure(
        self: &Arc<Self>,
        settings: &config::Cluster,
        wire: Settings,
        now: Instant,
    ) {
        let mut plan = self.plan();
        plan.listed = settings
            .endpoints
            .iter()
            .map(|address| Found::listed(address))
            .collect();
        plan.shape = Shape {
            hashed: matches!(settings.balance, Balance::ConsistentHash { .. }),
            slow_start: settings.slow_start,
        };
        if !same_source(plan.dns.as_ref(), settings.dns.as_ref()) {
            plan.found.clear();
            self.state
                .send_modify(|state| state.pending = settings.dns.is_some());
        }
        plan.dns.clone_from(&settings.dns);
        let wire = Arc::new(wire);
        for member in self.load().members() {
            member.endpoint.configure(&wire);
        }
        plan.wire = Some(wire);
        if settings.health_check.is_none() {
            for member in self.load().members() {
                member
                    .endpoint
                    .with_health(|health| *health = super::health::Health::default());
                member.endpoint.set_unhealthy(false, now);
            }
        }
        self.assemble(&plan, now);
    }

    /// Takes over an answer of discovery; none: there was none, and the last one stays.
    pub(super) fn found(self: &Arc<Self>, found: Option<Vec<Found>>, now: Instant) {
        let mut plan = self.plan();
        if self.retired.load(Ordering::Relaxed) {
            return; // asked while the cluster was still there
        }
        if let Some(found) = found
            && found != plan.found
        {
            plan.found = found;
            self.assemble(&plan, now);
        }
        self.state
            .send_if_modified(|state| std::mem::take(&mut state.pending));
    }

    /// The policy has dropped the cluster: everyone leaves.
    pub(super) fn retire(self: &Arc<Self>, now: Instant) {
        let mut plan = self.plan();
        *plan = Plan::default();
        self.state.send_modify(|state| state.pending = false);
        self.assemble(&plan, now);
        // The name may return before the last request of its old endpoints has ended.
        let _reporting = self
            .reporting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.retired.store(true, Ordering::Relaxed);
        self.emit_counts(&Set::default(), 0);
    }

    /// Makes the members what the plan says.
    fn assemble(self: &Arc<Self>, plan: &Plan, now: Instant) {
        let before = self.current.load_full();
        let mut known: HashMap<&str, &Member> = before
            .members()
            .iter()
            .map(|member| (member.endpoint.address(), member))
            .collect();
        let mut meet = |address: &str| {
            let stays = known.remove(address);
            stays.map_or_else(
                || self.newcomer(address, plan, now),
                |member| Arc::clone(&member.endpoint),
            )
        };
        let members = plan
            .wanted()
            .map(|(it, origin)| Member {
                endpoint: meet(&it.address),
                origin,
                tier: it.tier,
                share: it.share,
            })
            .collect();
        for gone in known.into_values() {
            self.draining.fetch_add(1, Ordering::Relaxed);
            gone.endpoint.leave(Arc::clone(self));
        }
        self.current.store(Arc::new(Set::of(members, plan.shape)));
        self.state.send_modify(|state| state.version += 1);
        drop(before); // with it go the endpoints that have nothing in flight
        self.report();
    }

    fn newcomer(&self, address: &str, plan: &Plan, now: Instant) -> Arc<Endpoint> {
        let default = || Settings::of(&config::Cluster::new(Vec::new()), None).into();
        let wire = plan.wire.clone().unwrap_or_else(default);
        let pools = Pools::new(&wire, self.workers);
        Endpoint::new(&self.cluster, address, pools, self.base, now)
    }

    /// Something about a member has changed.
    pub(super) fn refresh(&self) {
        let _plan = self.plan();
        self.repaint();
    }

    fn repaint(&self) {
        let next = self.current.load().again();
        self.current.store(Arc::new(next));
        self.report();
    }

    /// Takes the endpoint out, unless too many are out already: at most the share,
    /// but one of a small cluster, so that a lone dead endpoint makes requests fail fast.
    pub(super) fn reserve_ejection(&self, endpoint: &Endpoint, share: f64) -> bool {
        let _plan = self.plan();
        let set = self.current.load();
        let already = set.ejected();
        let allowed = set.members().len() as f64 * share;
        let granted = share > 0.0
            && !endpoint.has_left()
            && (already == 0 || already as f64 + 1.0 <= allowed);
        if granted {
            endpoint.reserve_ejection();
            self.repaint();
        }
        granted
    }

    /// Ejects an endpoint on a verdict that no attempt of its own gave.
    pub(super) fn eject(&self, endpoint: &Endpoint, reason: Reason, limits: &Limits, now: Instant) {
        let change = endpoint.with_breaker(self, |breaker| {
            let may = || self.reserve_ejection(endpoint, limits.max_ejected);
            breaker.eject(reason, limits, now, may)
        });
        if let Some(change) = change {
            self.announce(endpoint, change);
        }
    }

    /// Counts and logs what became of an endpoint.
    pub(super) fn announce(&self, endpoint: &Endpoint, change: Change) {
        let (cluster, endpoint) = (&*self.cluster, endpoint.address());
        match change {
            Change::Ejected(reason, _) => emit(&ProcessEvent::EndpointEjected {
                cluster,
                endpoint,
                reason: reason.as_str(),
            }),
            Change::Readmitted => emit(&ProcessEvent::EndpointReadmitted { cluster, endpoint }),
        }
    }

    /// One that has left has finished.
    pub(super) fn drained(&self) {
        self.draining.fetch_sub(1, Ordering::Relaxed);
        self.report();
    }

    /// Name of the cluster.
    pub(super) fn cluster(&self) -> &Arc<str> {
        &self.cluster
    }

    /// Members that have left and still have requests.
    pub(crate) fn draining(&self) -> usize {
        self.draining.load(Ordering::Relaxed)
    }

    /// Workers report when requests end: one at a time, so that the last to say
    /// something says what holds.
    fn report(&self) {
        let reporting = self
            .reporting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let set = self.load();
        if !self.retired.load(Ordering::Relaxed) {
            self.emit_counts(&set, self.draining());
        }
        // Before the set: with its last reader its endpoints go, which report that.
        drop(reporting);
    }

    fn emit_counts(&self, set: &Set, draining: usize) {
        emit(&ProcessEvent::Endpoints {
            cluster: &self.cluster,
            ready: set.fit(),
            ejected: set.ejected(),
            draining,
            unhealthy: set.unhealthy(),
        });
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether answers to one question can stand for the other.
fn same_source(one: Option<&config::Dns>, other: Option<&config::Dns>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            (&one.name, one.record, one.port, one.server)
                == (&other.name, other.record, other.port, other.server)
        }
        (None, None) => true,
        _ => false,
    }
}
