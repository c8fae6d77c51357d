//! The policy in force: an immutable snapshot that the request path reads, and
//! the one place where it is replaced.
//!
//! A swap rebuilds what changed. Endpoints with their breakers, budgets, limits
//! and the time that chaos rules have left live on in the next snapshot.

mod limits;
mod local;
mod route;
mod testers;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use mesh_telemetry::proxy::{Direction, ProcessEvent, emit};
use tokio::{sync::watch, time::Instant};

pub(crate) use limits::{Limits, ROOM_AFTER};
pub(crate) use local::Local;
pub(crate) use route::{MirrorState, RouteState, Routes, authority, part, place};
pub(crate) use testers::network;

use crate::{
    client::{self, Workers},
    cluster::{Cluster, Clusters, Endpoint},
    config::{self, Policy, Problem, Rule, check_here},
    layers::chaos::rule::{Armed, Clock, Rules},
};

/// One policy, ready for requests.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) raw: Policy,
    pub(crate) clusters: Clusters,
    pub(crate) routes: Routes,
    pub(crate) local: Option<Local>,
    /// Those of the policy that are turned on; halted none.
    pub(crate) rules: Rules,
    /// Whether chaos was halted at this sidecar alone.
    pub(crate) halted: bool,
}

/// For whom policies are put in force; does not change.
pub(crate) struct Owner {
    pub(crate) service: Arc<str>,
    pub(crate) instance: Arc<str>,
    /// Where the application listens; none without an inbound listener.
    pub(crate) application: Option<Arc<Endpoint>>,
    pub(crate) workers: Workers,
    /// What the listeners bear.
    inbound: config::ListenerLimits,
    outbound: config::ListenerLimits,
}

impl Owner {
    pub(crate) fn of(config: &config::SidecarConfig) -> Self {
        let workers = Workers::new(config.workers);
        let application = config.inbound.as_ref().map(|inbound| {
            let address = inbound.application.to_string();
            let settings = client::Settings::of_application(config.policy.inbound.protocol);
            let now = Instant::now();
            Endpoint::application(&config.service, &address, &settings.into(), workers, now)
        });
        Self {
            service: config.service.as_str().into(),
            instance: config.instance.as_str().into(),
            application,
            workers,
            inbound: config
                .inbound
                .as_ref()
                .map_or_else(Default::default, |side| side.limits.clone()),
            outbound: config
                .outbound
                .as_ref()
                .map_or_else(Default::default, |side| side.limits.clone()),
        }
    }

    /// What the listener of this side bears.
    pub(crate) fn limits(&self, side: Direction) -> &config::ListenerLimits {
        match side {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }
}

/// Holder of the policy in force.
pub(crate) struct Store {
    owner: Owner,
    current: ArcSwap<Snapshot>,
    /// Held while a policy is built, so that two swaps do not lose one another's state.
    swap: Mutex<Halted>,
    changed: watch::Sender<()>,
}

/// Chaos rules that were on when they were halted here. They stay off while these, and
/// no others, are on: until whoever sends policies turns something on, or all off. That
/// one of them ends meanwhile must not put the others in force again.
type Halted = Option<Vec<Rule>>;

impl Store {
    /// Puts the first policy in force.
    pub(crate) fn new(owner: Owner, policy: Policy) -> Result<Self, Vec<Problem>> {
        refuse_problems(0, &policy)?;
        let empty = Snapshot::empty();
        let first = Snapshot::build(&owner, 0, policy, &empty, false);
        first.activate(&empty);
        emit(&ProcessEvent::ConfigApplied { revision: 0 });
        Ok(Self {
            owner,
            current: ArcSwap::from_pointee(first),
            swap: Mutex::new(None),
            changed: watch::Sender::new(()),
        })
    }

    /// Tells whenever something else is in force.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The policy in force.
    pub(crate) fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Puts a policy in force, or reports all that is wrong with it and keeps the old one.
    pub(crate) fn apply(&self, revision: u64, policy: Policy) -> Result<(), Vec<Problem>> {
        refuse_problems(revision, &policy)?;
        let mut halted = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(revision, policy, &mut halted);
        emit(&ProcessEvent::ConfigApplied { revision });
        Ok(())
    }

    fn put(&self, revision: u64, policy: Policy, halted: &mut Halted) {
        let (on, off) = (on(&policy), halted.take());
        *halted = off.filter(|off| !on.is_empty() && on.iter().all(|rule| off.contains(rule)));
        self.replace(revision, policy, halted.is_some());
    }

    /// Puts the policy of a changed file in force, unless a console's snapshot is:
    /// then `false`.
    pub(crate) fn apply_own(&self, policy: Policy) -> Result<bool, Vec<Problem>> {
        refuse_problems(0, &policy)?;
        let mut halted = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.current.load().revision == 0;
        if own {
            self.put(0, policy, &mut halted);
        }
        emit(&ProcessEvent::ConfigApplied {
            revision: self.current.load().revision,
        });
        Ok(own)
    }

    /// Turns all chaos rules off, at this sidecar alone. Returns how many were on.
    pub(crate) fn halt_chaos(&self) -> usize {
        let mut halted = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        let on = on(&current.raw);
        *halted = (!on.is_empty()).then_some(on);
        self.replace(current.revision, current.raw.clone(), halted.is_some());
        let now = Instant::now();
        let has_time = |rule: &&Arc<Armed>| rule.left(now).is_some();
        current.rules.iter().filter(has_time).count()
    }

    fn replace(&self, revision: u64, policy: Policy, halted: bool) {
        let before = self.current.load();
        let next = Snapshot::build(&self.owner, revision, policy, &before, halted);
        next.activate(&before);
        self.current.store(Arc::new(next));
        self.changed.send_replace(());
    }
}

/// Chaos rules that are turned on.
fn on(policy: &Policy) -> Vec<Rule> {
    let rules = policy.chaos.iter();
    rules.filter(|rule| rule.enabled).cloned().collect()
}

fn refuse_problems(revision: u64, policy: &Policy) -> Result<(), Vec<Problem>> {
    let problems = check_here(policy);
    if problems.is_empty() {
        return Ok(());
    }
    emit(&ProcessEvent::ConfigRejected {
        revision,
        problems: problems.len(),
    });
    Err(problems)
}

impl Snapshot {
    fn empty() -> Self {
        Self {
            revision: 0,
            raw: Policy::default(),
            clusters: Clusters::new(),
            routes: Routes::default(),
            local: None,
            rules: Rules::default(),
            halted: false,
        }
    }

    /// Builds from a policy that has no problems.
    fn build(owner: &Owner, revision: u64, raw: Policy, before: &Self, halted: bool) -> Self {
        let clock = Clock::read();
        let active = if halted { &[] } else { raw.chaos.as_slice() };
        let rules = Rules::arm(active, &before.rules, clock);
        let clusters: Clusters = raw
            .clusters
            .iter()
            .map(|(name, settings)| {
                let old = before.clusters.get(name);
                let cluster = Cluster::build(name, settings, old, owner.workers, clock.now);
                (name.clone(), cluster)
            })
            .collect();
        let routes = Routes::of(&raw.routes, owner, &clusters, &rules, &before.routes);
        if let Some(application) = &owner.application {
            let settings = client::Settings::of_application(raw.inbound.protocol);
            application.configure(&settings.into());
        }
        let local = Local::build(owner, &raw, &rules, before.local.as_ref());
        Self {
            revision,
            raw,
            clusters,
            routes,
            local,
            rules,
            halted,
        }
    }

    /// Rules of which a route of this sidecar, or its application, is the place.
    pub(crate) fn rules_here(&self) -> impl Iterator<Item = &Arc<Armed>> {
        let outbound = self.routes.states();
        let inbound = self.local.iter().flat_map(Local::routes);
        let here: HashSet<*const Armed> = outbound
            .chain(inbound)
            .flat_map(|route| route.rules())
            .map(Arc::as_ptr)
            .collect();
        let rules = self.rules.iter();
        rules.filter(move |rule| here.contains(&Arc::as_ptr(rule)))
    }

    /// Hands the clusters over from the snapshot before: from now on there is no way back.
    fn activate(&self, before: &Self) {
        let now = Instant::now();
        for (name, cluster) in &self.clusters {
            cluster.activate(before.clusters.get(name), now);
        }
        for (name, gone) in &before.clusters {
            if !self.clusters.contains_key(name) {
                gone.retire(now);
            }
        }
    }
}

/// When requests must have ended: the settings of a route that the layers read.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// For the whole request; none: its caller alone decides.
    pub(crate) deadline: Option<Duration>,
    /// For one attempt; none: the deadline alone.
    pub(crate) attempt: Option<Duration>,
    /// No attempt starts with less than this left.
    pub(crate) attempt_min: Duration,
    /// Longest pause between two pieces of a body; none: any.
    pub(crate) idle: Option<Duration>,
    /// Whether the deadline goes on through the body of the answer.
    pub(crate) covers_body: bool,
}
