//! Clusters and their endpoints: who can be called, how they fare, and which of
//! them the next attempt goes to.

pub(crate) mod breaker;
pub(crate) mod budget;
mod endpoint;
pub(crate) mod load;
mod permit;

use std::{collections::BTreeMap, sync::Arc};

use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::time::Instant;

pub(crate) use breaker::Admission;
pub(crate) use endpoint::Endpoint;
pub(crate) use permit::EJECTION_REASON;
pub(crate) use permit::Permit;

use crate::{
    call::Tried,
    client::{self, Workers},
    config,
    error::ProxyError,
    random::Random,
    tls::ClientTls,
};
use breaker::Limits;
use budget::Budget;

/// A cluster as it is in force: settings of this policy, state that outlives it.
#[derive(Debug)]
pub(crate) struct Cluster {
    name: Arc<str>,
    settings: config::Cluster,
    endpoints: Vec<Arc<Endpoint>>,
    budget: Arc<Budget>,
    tls: Option<Arc<ClientTls>>,
}

/// Clusters by name.
pub(crate) type Clusters = BTreeMap<String, Arc<Cluster>>;

impl Cluster {
    /// Builds a cluster; endpoints and budget of `before` live on where they are
    /// still meant.
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
        let tls = tls_of(settings, before);
        let wire = Arc::new(client::Settings::of(settings, tls.clone()));
        let known = |address: &str| {
            let endpoint = before?.find(address)?;
            endpoint.configure(&wire);
            Some(endpoint)
        };
        let cluster = Arc::new(Self {
            name: name.into(),
            settings: settings.clone(),
            endpoints: settings
                .endpoints
                .iter()
                .map(|address| {
                    known(address)
                        .unwrap_or_else(|| Endpoint::new(name, address, &wire, workers, now))
                })
                .collect(),
            tls,
            budget: before.map_or_else(
                || Arc::new(Budget::new(now)),
                |before| Arc::clone(&before.budget),
            ),
        });
        cluster.report_endpoints();
        cluster
    }

    fn find(&self, address: &str) -> Option<Arc<Endpoint>> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.address() == address)
            .cloned()
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

    /// All endpoints, ejected ones included.
    #[must_use]
    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The retry budget.
    #[must_use]
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Chooses the endpoint of an attempt: a probe that is due, else the less
    /// loaded of two random endpoints that are neither ejected nor tried, else of
    /// those that were tried.
    pub(crate) fn pick(
        self: &Arc<Self>,
        tried: Option<&Tried>,
        random: &Random,
        now: Instant,
    ) -> Result<Permit, ProxyError> {
        let fresh = |endpoint: &Arc<Endpoint>| tried.is_none_or(|tried| !tried.contains(endpoint));
        let probe = self
            .endpoints
            .iter()
            .find(|endpoint| endpoint.admits(now) == Some(Admission::Probe) && fresh(endpoint));
        // Another worker may be faster at a probe, so each choice is tried to its end.
        let take = |endpoint: &Arc<Endpoint>| Permit::take(self, endpoint, now);
        probe
            .and_then(take)
            .or_else(|| self.less_loaded_of_two(&fresh, random, now).and_then(take))
            .or_else(|| {
                self.less_loaded_of_two(&|_| true, random, now)
                    .and_then(take)
            })
            .ok_or_else(|| self.exhausted())
    }

    fn less_loaded_of_two(
        &self,
        wanted: &dyn Fn(&Arc<Endpoint>) -> bool,
        random: &Random,
        now: Instant,
    ) -> Option<&Arc<Endpoint>> {
        let candidates: Vec<&Arc<Endpoint>> = self
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.admits(now).is_some() && wanted(endpoint))
            .collect();
        let one = match candidates.len() {
            0 => return None,
            1 => return Some(candidates[0]),
            count => random.below(count),
        };
        let other = (one + 1 + random.below(candidates.len() - 1)) % candidates.len();
        let (one, other) = (candidates[one], candidates[other]);
        Some(if one.load(now) <= other.load(now) {
            one
        } else {
            other
        })
    }

    fn exhausted(&self) -> ProxyError {
        ProxyError::NoEndpoint {
            cluster: Arc::clone(&self.name),
            endpoints: self.endpoints.len(),
            ejected: self.ejected(),
        }
    }

    /// Endpoints that are out now.
    #[must_use]
    pub(crate) fn ejected(&self) -> usize {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.is_ejected())
            .count()
    }

    /// Whether one more endpoint may go: at most the configured share, but one of
    /// a small cluster, so that a lone dead endpoint makes requests fail fast.
    fn may_eject(&self) -> bool {
        let share = self.settings.max_ejected;
        if share <= 0.0 {
            return false;
        }
        let allowed = self.endpoints.len() as f64 * share;
        let already = self.ejected();
        already == 0 || already as f64 + 1.0 <= allowed
    }

    fn limits(&self) -> Limits {
        Limits {
            consecutive_failures: self.settings.consecutive_failures,
            ejection: self.settings.ejection,
        }
    }

    fn report_endpoints(&self) {
        let ejected = self.ejected();
        self.report(self.endpoints.len() - ejected, ejected);
    }

    /// The policy has dropped the cluster.
    pub(crate) fn report_gone(&self) {
        self.report(0, 0);
    }

    fn report(&self, ready: usize, ejected: usize) {
        emit(&ProcessEvent::Endpoints {
            cluster: &self.name,
            ready,
            ejected,
            draining: 0,
            unhealthy: 0,
        });
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
mod tests {
    use std::{collections::HashMap, sync::Arc, time::Duration};

    use tokio::time::Instant;

    use super::{Cluster, Tried};
    use crate::{client::Workers, config, random::Random};

    fn cluster(endpoints: usize, settings: impl FnOnce(&mut config::Cluster)) -> Arc<Cluster> {
        let addresses = (1..=endpoints).map(|n| format!("127.0.0.1:{n}")).collect();
        let mut config = config::Cluster::new(addresses);
        settings(&mut config);
        Cluster::build("payments", &config, None, Workers::new(1), Instant::now())
    }

    fn fail(cluster: &Arc<Cluster>, address: &str, now: Instant) {
        let endpoint = cluster.find(address).unwrap();
        for _ in 0..cluster.settings().consecutive_failures {
            super::Permit::take(cluster, &endpoint, now)
                .unwrap()
                .vote(false, now);
        }
    }

    #[tokio::test]
    async fn load_spreads_over_equal_endpoints() {
        let (cluster, random) = (cluster(3, |_| {}), Random::seeded(1));
        let mut counts = HashMap::<String, u32>::new();
        for _ in 0..3000 {
            let permit = cluster.pick(None, &random, Instant::now()).unwrap();
            *counts
                .entry(permit.endpoint().address().to_owned())
                .or_default() += 1;
        }
        assert!(
            counts.len() == 3 && counts.values().all(|&n| n > 700),
            "{counts:?}"
        );
    }

    #[tokio::test]
    async fn the_less_loaded_of_two_is_taken() {
        let (cluster, random) = (cluster(2, |_| {}), Random::seeded(1));
        let busy = cluster.pick(None, &random, Instant::now()).unwrap();
        for _ in 0..20 {
            let other = cluster.pick(None, &random, Instant::now()).unwrap();
            assert_ne!(other.endpoint().address(), busy.endpoint().address());
        }
    }

    #[tokio::test]
    async fn a_tried_endpoint_is_taken_only_when_there_is_no_other() {
        let (cluster, random) = (cluster(2, |_| {}), Random::seeded(1));
        let tried = Tried::default();
        let first = cluster.pick(Some(&tried), &random, Instant::now()).unwrap();
        tried.add(first.endpoint());
        let second = cluster.pick(Some(&tried), &random, Instant::now()).unwrap();
        assert_ne!(first.endpoint().address(), second.endpoint().address());
        tried.add(second.endpoint());
        cluster.pick(Some(&tried), &random, Instant::now()).unwrap();
    }

    #[tokio::test]
    async fn no_more_than_the_share_is_ejected() {
        let cluster = cluster(4, |settings| settings.max_ejected = 0.5);
        let now = Instant::now();
        for n in 1..=4 {
            fail(&cluster, &format!("127.0.0.1:{n}"), now);
        }
        assert_eq!(cluster.ejected(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_endpoint_is_ejected_and_readmitted_by_a_probe() {
        let (cluster, random) = (cluster(1, |_| {}), Random::seeded(1));
        fail(&cluster, "127.0.0.1:1", Instant::now());
        let error = cluster.pick(None, &random, Instant::now()).unwrap_err();
        assert_eq!(error.reason(), "no_healthy_upstream");
        tokio::time::advance(cluster.settings().ejection).await;
        let probe = cluster.pick(None, &random, Instant::now()).unwrap();
        assert!(cluster.pick(None, &random, Instant::now()).is_err());
        probe.vote(true, Instant::now());
        assert_eq!(cluster.ejected(), 0);
        cluster.pick(None, &random, Instant::now()).unwrap();
    }

    #[tokio::test]
    async fn a_dropped_permit_casts_no_vote_and_frees_its_place() {
        let cluster = cluster(1, |settings| settings.consecutive_failures = 1);
        let random = Random::seeded(1);
        for _ in 0..10 {
            drop(cluster.pick(None, &random, Instant::now()).unwrap());
        }
        assert_eq!(cluster.endpoints()[0].in_flight(), 0);
        assert_eq!(cluster.ejected(), 0);
    }

    #[tokio::test]
    async fn a_swap_keeps_what_is_known_of_endpoints_that_stay() {
        let before = cluster(2, |_| {});
        let now = Instant::now();
        fail(&before, "127.0.0.1:1", now);
        let mut settings =
            config::Cluster::new(vec!["127.0.0.1:1".to_owned(), "127.0.0.1:9".to_owned()]);
        settings.ejection = Duration::from_mins(1);
        let after = Cluster::build("payments", &settings, Some(&before), Workers::new(1), now);
        assert_eq!(after.ejected(), 1);
        assert!(Arc::ptr_eq(&before.endpoints()[0], &after.endpoints()[0]));
    }
}
