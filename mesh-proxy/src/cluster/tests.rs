use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Cluster, Endpoint, Permit, Tried};
use crate::{
    client::Workers,
    config::{self, Balance},
    random::Random,
};

fn addresses(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("127.0.0.1:{n}")).collect()
}

fn cluster(endpoints: usize, settings: impl FnOnce(&mut config::Cluster)) -> Arc<Cluster> {
    let mut config = config::Cluster::new(addresses(endpoints));
    settings(&mut config);
    replace(None, &config)
}

fn replace(before: Option<&Arc<Cluster>>, settings: &config::Cluster) -> Arc<Cluster> {
    let now = Instant::now();
    let cluster = Cluster::build("payments", settings, before, Workers::new(1), now);
    cluster.activate(before, now);
    cluster
}

fn find(cluster: &Cluster, address: &str) -> Arc<Endpoint> {
    let set = cluster.members().load();
    let found = set
        .members()
        .iter()
        .find(|it| it.endpoint.address() == address);
    Arc::clone(&found.unwrap().endpoint)
}

fn fail(cluster: &Arc<Cluster>, address: &str, now: Instant) {
    let endpoint = find(cluster, address);
    for _ in 0..cluster.settings().consecutive_failures {
        let permit = Permit::take(cluster, &endpoint, now).unwrap();
        permit.vote(false, now);
    }
}

fn ejected(cluster: &Cluster) -> usize {
    cluster.members().load().ejected()
}

/// How often each endpoint is chosen; each request ends at once.
fn shares(cluster: &Arc<Cluster>, random: &Random, times: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..times {
        let permit = cluster.pick(None, None, random, Instant::now()).unwrap();
        *counts
            .entry(permit.endpoint().address().to_owned())
            .or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn load_spreads_over_equal_endpoints_with_every_balancer() {
    for balance in [
        Balance::PeakEwma,
        Balance::LeastRequest,
        Balance::RoundRobin,
    ] {
        let cluster = cluster(3, |settings| settings.balance = balance.clone());
        let counts = shares(&cluster, &Random::seeded(1), 3000);
        assert!(
            counts.len() == 3 && counts.values().all(|&n| n > 700),
            "{balance:?} {counts:?}"
        );
    }
}

#[tokio::test]
async fn the_less_loaded_of_two_is_taken() {
    for balance in [Balance::PeakEwma, Balance::LeastRequest] {
        let cluster = cluster(2, |settings| settings.balance = balance.clone());
        let random = Random::seeded(1);
        let busy = cluster.pick(None, None, &random, Instant::now()).unwrap();
        for _ in 0..20 {
            let other = cluster.pick(None, None, &random, Instant::now()).unwrap();
            assert_ne!(other.endpoint().address(), busy.endpoint().address());
        }
    }
}

#[tokio::test]
async fn round_robin_takes_one_after_the_other() {
    let cluster = cluster(3, |settings| settings.balance = Balance::RoundRobin);
    let random = Random::seeded(1);
    let seen: Vec<String> = (0..6)
        .map(|_| {
            let permit = cluster.pick(None, None, &random, Instant::now()).unwrap();
            permit.endpoint().address().to_owned()
        })
        .collect();
    assert_eq!(seen[..3], seen[3..]);
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_tried_endpoint_is_taken_only_when_there_is_no_other() {
    for balance in [
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::ConsistentHash {
            header: "x-user".to_owned(),
        },
    ] {
        let cluster = cluster(20, |settings| settings.balance = balance.clone());
        let random = Random::seeded(1);
        let tried = Tried::default();
        for _ in 0..20 {
            let now = Instant::now();
            let permit = cluster.pick(Some(&tried), Some(7), &random, now).unwrap();
            assert!(!tried.contains(permit.endpoint()), "{balance:?}");
            tried.add(permit.endpoint());
        }
        let again = cluster.pick(Some(&tried), Some(7), &random, Instant::now());
        assert!(again.is_ok());
    }
}

#[tokio::test]
async fn no_more_than_the_share_is_ejected() {
    let cluster = cluster(4, |settings| settings.max_ejected = 0.5);
    let now = Instant::now();
    for address in addresses(4) {
        fail(&cluster, &address, now);
    }
    assert_eq!(ejected(&cluster), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lone_endpoint_is_ejected_and_readmitted_by_a_probe() {
    let (cluster, random) = (cluster(1, |_| {}), Random::seeded(1));
    let pick = || cluster.pick(None, None, &random, Instant::now());
    fail(&cluster, "127.0.0.1:1", Instant::now());
    assert_eq!(pick().unwrap_err().reason(), "no_healthy_upstream");
    tokio::time::advance(cluster.settings().ejection).await;
    let probe = pick().unwrap();
    assert!(pick().is_err());
    probe.vote(true, Instant::now());
    assert_eq!(ejected(&cluster), 0);
    pick().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_due_probe_goes_before_the_healthy_and_a_lost_one_is_repeated() {
    let (cluster, random) = (cluster(50, |_| {}), Random::seeded(1));
    fail(&cluster, "127.0.0.1:7", Instant::now());
    tokio::time::advance(cluster.settings().ejection).await;
    for _ in 0..3 {
        let probe = cluster.pick(None, None, &random, Instant::now()).unwrap();
        assert_eq!(probe.endpoint().address(), "127.0.0.1:7");
        let other = cluster.pick(None, None, &random, Instant::now()).unwrap();
        assert_ne!(other.endpoint().address(), "127.0.0.1:7");
    }
}

#[tokio::test]
async fn a_dropped_permit_casts_no_vote_and_frees_its_place() {
    let cluster = cluster(1, |settings| settings.consecutive_failures = 1);
    let random = Random::seeded(1);
    for _ in 0..10 {
        drop(cluster.pick(None, None, &random, Instant::now()).unwrap());
    }
    assert_eq!(find(&cluster, "127.0.0.1:1").in_flight(), 0);
    assert_eq!(ejected(&cluster), 0);
}

#[tokio::test]
async fn a_swap_keeps_what_is_known_of_endpoints_that_stay() {
    let before = cluster(2, |_| {});
    let stays = find(&before, "127.0.0.1:1");
    let leaves = find(&before, "127.0.0.1:2");
    fail(&before, "127.0.0.1:1", Instant::now());
    let listed = ["127.0.0.1:1", "127.0.0.1:9"].map(str::to_owned);
    let mut settings = config::Cluster::new(listed.into());
    settings.ejection = Duration::from_mins(1);
    let after = replace(Some(&before), &settings);
    assert_eq!(ejected(&after), 1);
    assert!(Arc::ptr_eq(&find(&after, "127.0.0.1:1"), &stays));
    assert!(leaves.has_left());
    assert_eq!(after.members().draining(), 1);
    drop(leaves);
    assert_eq!(after.members().draining(), 0);
}

#[tokio::test]
async fn ten_thousand_addresses_that_come_and_go_leave_nothing_behind() {
    let (telemetry, _) = mesh_telemetry::install_proxy(mesh_telemetry::Options {
        identity: mesh_telemetry::Identity {
            service: "orders".to_owned(),
            instance: "orders-1".to_owned(),
            component: mesh_telemetry::Component::Sidecar,
        },
        otlp: None,
        sample_ratio: 0.0,
    })
    .unwrap();
    let (mut before, mut known) = (None, Vec::new());
    for round in 0..100 {
        let listed = (1..=100).map(|n| format!("10.0.{round}.{n}:80"));
        let settings = config::Cluster::new(listed.collect());
        let now = Instant::now();
        let cluster = Cluster::build("churn", &settings, before.as_ref(), Workers::new(1), now);
        cluster.activate(before.as_ref(), now);
        let set = cluster.members().load();
        known.extend(set.members().iter().map(|it| Arc::downgrade(&it.endpoint)));
        drop(set);
        before = Some(cluster);
    }
    let cluster = before.unwrap();
    let page = telemetry.render();
    let series = page
        .lines()
        .filter(|line| line.contains("\"churn\"") && line.contains(":80\""));
    assert_eq!(series.count(), 100);
    let alive = known.iter().filter(|it| it.strong_count() > 0).count();
    assert_eq!((known.len(), alive), (10_000, 100));
    assert_eq!(cluster.members().draining(), 0);
}

#[tokio::test]
async fn a_key_keeps_its_endpoint_and_comes_back_to_it() {
    let cluster = cluster(10, |settings| {
        settings.balance = Balance::ConsistentHash {
            header: "x-user".to_owned(),
        };
    });
    let random = Random::seeded(1);
    let now = Instant::now();
    let owners = || -> Vec<Arc<Endpoint>> {
        (0..500_u64)
            .map(|key| {
                let key = super::maglev::hash(&key.to_be_bytes());
                let permit = cluster.pick(None, Some(key), &random, now).unwrap();
                Arc::clone(permit.endpoint())
            })
            .collect()
    };
    let before = owners();
    let out = Arc::clone(&before[0]);
    fail(&cluster, out.address(), now);
    for (was, is) in before.iter().zip(owners()) {
        assert!(!Arc::ptr_eq(&is, &out), "an ejected endpoint takes no key");
        assert!(
            Arc::ptr_eq(was, &is) || Arc::ptr_eq(was, &out),
            "another's key moved"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_gets_its_share_little_by_little() {
    for balance in [
        Balance::PeakEwma,
        Balance::LeastRequest,
        Balance::RoundRobin,
    ] {
        let settings = |count| {
            let mut settings = config::Cluster::new(addresses(count));
            settings.slow_start = Some(Duration::from_secs(10));
            settings.balance = balance.clone();
            settings
        };
        let (random, before) = (Random::seeded(1), replace(None, &settings(3)));
        tokio::time::advance(Duration::from_mins(1)).await;
        let cluster = replace(Some(&before), &settings(4));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(
                shares(&cluster, &random, 4000)
                    .remove("127.0.0.1:4")
                    .unwrap(),
            );
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!(
            (20..250).contains(&seen[0]) && (400..850).contains(&seen[1]) && seen[2] > 850,
            "{balance:?}: {seen:?} of 4000"
        );
    }
}

#[tokio::test]
async fn an_unhealthy_endpoint_is_left_out_and_not_probed_by_requests() {
    let (cluster, random) = (cluster(2, |_| {}), Random::seeded(1));
    let sick = find(&cluster, "127.0.0.1:1");
    sick.set_unhealthy(true, Instant::now());
    cluster.members().refresh();
    let counts = shares(&cluster, &random, 100);
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert_eq!(cluster.members().load().unhealthy(), 1);
}
