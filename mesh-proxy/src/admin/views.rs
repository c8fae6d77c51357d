//! What the admin API shows.

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Endpoint},
    config::Rule,
    layers::chaos::rule::Rules,
};

#[derive(Serialize)]
pub(super) struct ClusterView {
    name: String,
    budget_left: f64,
    endpoints: Vec<EndpointView>,
}

#[derive(Serialize)]
struct EndpointView {
    address: String,
    breaker: &'static str,
    in_flight: u32,
    /// Votes of the breaker so far.
    successes: u64,
    failures: u64,
    /// Seconds of latency times attempts in flight, the next one included.
    load: f64,
}

#[derive(Serialize)]
pub(super) struct RuleView {
    rule: Rule,
    expires_in_ms: u64,
}

pub(super) fn cluster(cluster: &Cluster) -> ClusterView {
    let now = Instant::now();
    ClusterView {
        name: cluster.name().to_string(),
        budget_left: cluster.budget().left(&cluster.settings().budget, now),
        endpoints: cluster
            .endpoints()
            .iter()
            .map(|e| endpoint(e, now))
            .collect(),
    }
}

fn endpoint(endpoint: &Endpoint, now: Instant) -> EndpointView {
    let [failures, successes] = endpoint.votes();
    EndpointView {
        successes,
        failures,
        address: endpoint.address().to_owned(),
        breaker: endpoint.breaker_name(),
        in_flight: endpoint.in_flight(),
        load: endpoint.load(now),
    }
}

pub(super) fn rules(rules: &Rules) -> Vec<RuleView> {
    let now = Instant::now();
    rules
        .iter()
        .filter_map(|armed| {
            let left = armed.left(now)?.as_millis();
            Some(RuleView {
                rule: armed.rule().clone(),
                expires_in_ms: u64::try_from(left).unwrap_or(u64::MAX),
            })
        })
        .collect()
}
