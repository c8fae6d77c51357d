//! Clusters and their endpoints: who can be called, how they fare, and which of
//! them the next attempt goes to.
//!
//! A cluster is the settings of one policy around state that outlives it: its
//! [`Members`] with their breakers, health and connections, and the retry budget.
//! Tasks look names up, check health and compare endpoints; they belong to the
//! cluster that is in force, and end with it.

pub(crate) mod breaker;
pub(crate) mod budget;
mod choose;
mod discovery;
mod endpoint;
mod health;
pub(crate) mod load;
mod maglev;
mod members;
mod outlier;
mod permit;
mod set;
mod tasks;
mod window;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName};
use tokio::time::{Instant, timeout};

pub(crate) use breaker::Admission;
pub(crate) use endpoint::Endpoint;
pub(crate) use members::Members;
pub(crate) use permit::Permit;
pub(crate) use set::{Member, Origin, Set};

use crate::{
    call::Tried,
    client::{self, Workers},
    config::{self, Balance},
    error::ProxyError,
    random::Random,
    tls::ClientTls,
};
use breaker::Limits;
use budget::Budget;
use choose::Choice;
use tasks::Owned;

/// A cluster as it is in force: settings of this policy, state that outlives it.
#[derive(Debug)]
pub(crate) struct Cluster {
    name: Arc<str>,
    settings: config::Cluster,
    limits: Arc<Limits>,
    /// Header whose value keeps requests together.
    hashed: Option<HeaderName>,
    members: Arc<Members>,
    budget: Arc<Budget>,
    tls: Option<Arc<ClientTls>>,
    tasks: Mutex<Vec<Owned>>,
}

/// Clusters by name.
pub(crate) type Clusters = BTreeMap<String, Arc<Cluster>>;

impl Cluster {
    /// Builds a cluster; members and budget of `before` live on. It takes effect with
    /// [`Self::activate`].
    pub(crate) fn build(
        name: &str,
        settings: &config::Cluster,
        before: Option<&Arc<Self>>,
        workers: Workers,
        now: Instant,
    ) -> Arc<Self> {
        if let Some(before) = before.filter(|before| before.settings == *settings) {
            return Arc::clone(before);
        }
        let name = before.map_or_else(|| name.into(), |before| Arc::clone(&before.name));
        Arc::new(Self {
            settings: settings.clone(),
            limits: Arc::new(Limits::of(settings, Random::from_system())),
            hashed: hashed(&settings.balance),
            members: before.map_or_else(
                || Members::new(&name, workers, now),
                |before| Arc::clone(&before.members),
            ),
            tls: tls_of(settings, before),
            budget: before.map_or_else(
                || Arc::new(Budget::new(now)),
                |before| Arc::clone(&before.budget),
            ),
            tasks: Mutex::default(),
            name,
        })
    }

    /// Puts the settings in force: members come and go, tasks start, and those of the
    /// cluster that was in force before end. Needs a tokio runtime where there are tasks.
    pub(crate) fn activate(&self, before: Option<&Arc<Self>>, now: Instant) {
        if before.is_some_and(|before| std::ptr::eq(&raw const **before, self)) {
            return;
        }
        if let Some(before) = before {
            before.end_tasks();
        }
        let wire = client::Settings::of(&self.settings, self.tls.clone());
        self.members.configure(&self.settings, wire, now);
        let members = || Arc::clone(&self.members);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dns) = &self.settings.dns {
            let follow = discovery::follow(members(), dns.clone());
            tasks.push(Owned::spawn("dns", follow));
        }
        if let Some(check) = &self.settings.health_check {
            let check = health::check(members(), check.clone(), self.settings.protocol);
            tasks.push(Owned::spawn("health_checks", check));
        }
        if let Some(rate) = &self.settings.success_rate {
            let compare = outlier::compare(members(), Arc::clone(&self.limits), rate.clone());
            tasks.push(Owned::spawn("success_rate", compare));
        }
    }

    /// The policy has dropped the cluster: its members finish what they have.
    pub(crate) fn retire(&self, now: Instant) {
        self.end_tasks();
        self.members.retire(now);
    }

    fn end_tasks(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.clear();
    }

    /// Name in the configuration.
    #[must_use]
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Settings of the policy in force.
    #[must_use]
    pub(crate) fn settings(&self) -> &config::Cluster {
        &self.settings
    }

    /// TLS to the endpoints.
    #[must_use]
    pub(crate) fn tls(&self) -> Option<&Arc<ClientTls>> {
        self.tls.as_ref()
    }

    /// Its endpoints, as they are now.
    #[must_use]
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The retry budget.
    #[must_use]
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Hash of what keeps a request with others like it; none: any endpoint will do.
    pub(crate) fn key(&self, headers: &HeaderMap) -> Option<u64> {
        let value = headers.get(self.hashed.as_ref()?)?;
        Some(maglev::hash(value.as_bytes()))
    }

    /// Chooses the endpoint of an attempt: a probe that is due, else as the policy's
    /// balancer says among those that take requests and were not tried, else among
    /// those that were tried.
    pub(crate) fn pick(
        self: &Arc<Self>,
        tried: Option<&Tried>,
        key: Option<u64>,
        random: &Random,
        now: Instant,
    ) -> Result<Permit, ProxyError> {
        let set = self.members.load();
        let at = self.members.clock(now);
        let fresh = |endpoint: &Arc<Endpoint>| tried.is_none_or(|tried| !tried.contains(endpoint));
        let take = |endpoint: &Arc<Endpoint>| Permit::take(self, endpoint, now);
        let by = |wanted: &dyn Fn(&Arc<Endpoint>) -> bool, key| {
            let choice = Choice {
                set: &set,
                wanted,
                random,
                now,
                at,
                key,
            };
            let chosen = choice.by(&self.settings.balance, &self.members.turn)?;
            take(chosen)
        };
        let probe = || {
            let due = set.probe_at() <= at; // rarely: looked through only then
            due.then(|| set.due(at, fresh)).flatten().and_then(take)
        };
        // A key goes to its own endpoint, also as the probe of one.
        let first = if key.is_none() { probe() } else { None };
        first
            .or_else(|| by(&fresh, key))
            .or_else(|| by(&fresh, None)) // that one was ejected this very moment
            .or_else(probe)
            .or_else(|| by(&|_| true, None))
            .ok_or_else(|| self.exhausted(&set))
    }

    /// Whether an endpoint takes requests that was not tried.
    pub(crate) fn has_other_than(&self, tried: &Tried) -> bool {
        let set = self.members.load();
        set.ready().iter().any(|it| !tried.contains(&it.endpoint))
    }

    fn exhausted(&self, set: &Set) -> ProxyError {
        ProxyError::NoEndpoint {
            cluster: Arc::clone(&self.name),
            endpoints: set.members().len(),
            ejected: set.ejected(),
            unhealthy: set.unhealthy(),
        }
    }

    /// Whether there is no endpoint only because discovery has not answered yet.
    #[must_use]
    pub(crate) fn is_undiscovered(&self) -> bool {
        self.members.is_pending() && self.members.load().members().is_empty()
    }

    /// Waits for the first answer of discovery, as long as for a connection.
    pub(crate) async fn discovered(&self) {
        let mut state = self.members.watch();
        let answered = state.wait_for(|state| !state.pending);
        // Late or never: the next choice says what is missing.
        let _ = timeout(self.settings.connect_timeout, answered).await;
    }
}

/// A checked name is one.
fn hashed(balance: &Balance) -> Option<HeaderName> {
    match balance {
        Balance::ConsistentHash { header } => HeaderName::from_bytes(header.as_bytes()).ok(),
        Balance::PeakEwma | Balance::LeastRequest | Balance::RoundRobin => None,
    }
}

/// What is known of sessions lives on, unless other files or names are meant.
fn tls_of(settings: &config::Cluster, before: Option<&Arc<Cluster>>) -> Option<Arc<ClientTls>> {
    let same = |before: &&Arc<Cluster>| {
        before.settings.tls == settings.tls && before.settings.dns == settings.dns
    };
    match before.filter(same) {
        Some(before) => before.tls.clone(),
        None => ClientTls::load(settings),
    }
}

#[cfg(test)]
mod tests;
