//! What the admin API shows.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Member, Origin},
    config::{Place, Rule, RuleReport},
    policy::Snapshot,
};

#[derive(Serialize)]
pub(super) struct ClusterView {
    name: String,
    budget_left: f64,
    /// `listed`, `dns` or `listed and dns`.
    discovery: &'static str,
    /// Endpoints that have left and still have requests.
    draining: usize,
    endpoints: Vec<EndpointView>,
}

#[derive(Serialize)]
struct EndpointView {
    address: String,
    /// `listed` or `dns`.
    source: &'static str,
    breaker: &'static str,
    /// Why and for how long it is out; none: it is not.
    ejection: Option<EjectionView>,
    /// `healthy`, `unhealthy` or `unchecked`.
    health: &'static str,
    in_flight: u32,
    /// Votes of the breaker so far.
    successes: u64,
    failures: u64,
    /// Seconds of latency times attempts in flight, the next one included.
    load: f64,
    /// Requests it gets now, as a share of those of an endpoint of full weight.
    share: f64,
    /// 0 first; the next only while nobody of the one before takes requests.
    tier: u16,
}

#[derive(Serialize)]
struct EjectionView {
    reason: &'static str,
    /// Time until a request may be the probe that decides.
    probe_in_ms: u64,
}

#[derive(Serialize)]
pub(super) struct ChaosView {
    /// Chaos was halted at this sidecar alone; then there are no rules.
    halted: bool,
    rules: Vec<RuleView>,
}

#[derive(Serialize)]
struct RuleView {
    id: String,
    #[serde(rename = "where")]
    place: Place,
    expires_in_ms: u64,
    /// Share in force now, 0 to 100, by its schedule.
    percent_now: f64,
    /// What it met since it was put in force; none: this sidecar is not its place.
    receipt: Option<RuleReport>,
    rule: Rule,
}

pub(super) fn cluster(cluster: &Cluster) -> ClusterView {
    let now = Instant::now();
    let (settings, set) = (cluster.settings(), cluster.members().load());
    ClusterView {
        name: cluster.name().to_string(),
        budget_left: cluster.budget().left(&settings.budget, now),
        discovery: match (settings.endpoints.is_empty(), &settings.dns) {
            (_, None) => "listed",
            (true, Some(_)) => "dns",
            (false, Some(_)) => "listed and dns",
        },
        draining: cluster.members().draining(),
        endpoints: set
            .members()
            .iter()
            .map(|member| endpoint(member, settings.slow_start, now))
            .collect(),
    }
}

fn endpoint(member: &Member, slow_start: Option<Duration>, now: Instant) -> EndpointView {
    let endpoint = &member.endpoint;
    let [failures, successes] = endpoint.votes();
    let warmth = slow_start.map_or(1.0, |time| endpoint.warmth(time, now));
    EndpointView {
        successes,
        failures,
        address: endpoint.address().to_owned(),
        source: match member.origin {
            Origin::Listed => "listed",
            Origin::Dns => "dns",
        },
        breaker: endpoint.breaker_name(),
        ejection: endpoint.ejection().map(|(reason, until)| EjectionView {
            reason: reason.as_str(),
            probe_in_ms: milliseconds(until.saturating_duration_since(now)),
        }),
        health: endpoint.health_name(),
        in_flight: endpoint.in_flight(),
        load: endpoint.load(now),
        share: f64::from(member.share) * warmth,
        tier: member.tier,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Rules that are turned on and have time left.
pub(super) fn chaos(policy: &Snapshot) -> ChaosView {
    let now = Instant::now();
    let here: Vec<_> = policy.rules_here().map(Arc::as_ptr).collect();
    let rules = policy.rules.iter().filter_map(|armed| {
        let rule = armed.rule();
        Some(RuleView {
            id: rule.id.clone(),
            place: rule.place.clone(),
            expires_in_ms: milliseconds(armed.left(now)?),
            percent_now: armed.percent_now(now),
            receipt: here
                .contains(&Arc::as_ptr(armed))
                .then(|| armed.receipt().report(rule)),
            rule: rule.clone(),
        })
    });
    ChaosView {
        halted: policy.halted,
        rules: rules.collect(),
    }
}
