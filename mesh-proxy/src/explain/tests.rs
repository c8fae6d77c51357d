//! Explanations of whole policies.

use std::time::Duration;

use http::{Method, Uri};

use super::{Explanation, explain};

const POLICY: &str = "
clusters:
  stable: { endpoints: ['10.0.0.1:80'] }
  canary: { endpoints: ['10.0.0.2:80'] }
routes:
  - { name: health, match: { path: /health, methods: [GET] }, respond: { status: 204 } }
  - { name: old, match: { path_prefix: /old }, redirect: { path: /new } }
  - name: orders
    match: { authority: shop, path_template: '/orders/{id}', headers: [{ name: x-v, exact: '2' }] }
    split: { clusters: { stable: 9, canary: 1 }, pin: x-user }
    rewrite: { path: '/v2/{id}' }
    deadline: 2s
    attempt_timeout: 300ms
    retry: { attempts: 3, backoff_base: 25ms, backoff_cap: 250ms }
    max_in_flight: 10
  - { name: rest, match: { authority: shop }, cluster: stable, deadline: 1s, hedge: { after: 50ms } }
chaos:
  - { id: slow, where: gateway -> stable, percent: 20, delay: 100ms, position: request }
  - { id: bad, where: canary, abort: 503 }
  - { id: other, where: users -> stable, abort: 503 }
  - { id: off, where: stable, abort: 503, enabled: false }
";

fn of(method: &Method, url: &'static str, headers: &[(&'static str, &'static str)]) -> Explanation {
    let policy = serde_saphyr::from_str(POLICY).unwrap();
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    explain(
        &policy,
        "gateway",
        method,
        &Uri::from_static(url),
        &pairs.collect(),
    )
}

#[test]
fn a_route_is_explained_with_all_that_it_does() {
    let found = of(&Method::GET, "http://shop/orders/7?x=1", &[("x-v", "2")]);
    assert_eq!(found.route.as_deref(), Some("orders"));
    assert_eq!(found.template.as_deref(), Some("/orders/{id}"));
    let shares: Vec<_> = found
        .targets
        .iter()
        .map(|it| (&*it.cluster, it.share))
        .collect();
    assert_eq!(shares, [("canary", 0.1), ("stable", 0.9)]);
    assert_eq!(found.rewritten.as_ref().unwrap().path, "/v2/7?x=1");
    assert!(found.retries.as_ref().unwrap().allowed);
    let rules: Vec<_> = found.faults.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(rules, ["slow", "bad"]);
    assert_eq!(found.worst_case.attempts, 3);
    // Three attempts of 300 ms, pauses of 25 and 50 ms, and the delay of 100 ms.
    assert_eq!(found.worst_case.latency, Duration::from_millis(1075));
    insta::assert_snapshot!(found);
}

#[test]
fn what_was_passed_over_says_why() {
    let found = of(&Method::POST, "http://shop/orders/7", &[("x-v", "1")]);
    assert_eq!(found.route.as_deref(), Some("rest"));
    let why: Vec<_> = found
        .passed_over
        .iter()
        .map(|it| it.because.as_str())
        .collect();
    assert_eq!(
        why,
        [
            "the path `/orders/7` is not `/health`",
            "the path `/orders/7` is not below `/old`",
            "the header `x-v` is not one that is wanted: `2`"
        ]
    );
    assert_eq!(found.worst_case.attempts, 1, "a POST is not hedged");
    assert_eq!(found.worst_case.latency, Duration::from_secs(1));
}

#[test]
fn a_key_makes_a_post_repeatable_and_a_callers_deadline_counts() {
    let headers = [
        ("x-v", "2"),
        ("idempotency-key", "1"),
        ("x-mesh-deadline-ms", "500"),
    ];
    let found = of(&Method::POST, "http://shop/orders/7", &headers);
    assert!(found.retries.unwrap().allowed);
    assert_eq!(found.worst_case.latency, Duration::from_millis(500));
    let hedged = of(&Method::GET, "http://shop/x", &[]);
    assert_eq!(hedged.worst_case.attempts, 2);
}

#[test]
fn a_pinned_value_has_one_target() {
    let found = of(
        &Method::GET,
        "http://shop/orders/7",
        &[("x-v", "2"), ("x-user", "ann")],
    );
    assert_eq!(found.targets.len(), 1);
    assert_eq!(found.targets[0].cluster, "stable");
}

#[test]
fn answers_of_the_sidecar_cost_nothing() {
    let answer = of(&Method::GET, "http://any/health", &[]).answer.unwrap();
    assert_eq!((answer.status, answer.reason), (204, "direct_response"));
    let found = of(&Method::GET, "http://any/old/x", &[]);
    assert_eq!(
        found.answer.as_ref().unwrap().location.as_deref(),
        Some("http://any/new")
    );
    assert_eq!(found.worst_case.attempts, 0);
    let none = of(&Method::GET, "http://any/", &[]);
    assert!(
        none.route.is_none() && none.to_string().contains("no_route"),
        "{none}"
    );
}

/// Rules of one edge and its node, with what each has of its own.
const FAULTS: &str = "
clusters: { payments: { endpoints: ['10.0.0.1:80'] } }
routes: [{ name: all, match: {}, cluster: payments, rewrite: { path: /v2/charges }, deadline: 9s, attempt_timeout: 1s }]
chaos:
  - { id: tail, where: gateway -> payments, position: request, delay: 'uniform:1s:2s', match: { path: /v2/charges }, percent_of: { delay: 5 } }
  - { id: armed, where: payments, arm: baggage, abort: 'grpc:UNAVAILABLE', throttle: 1KiB/s, percent: 50, max_affected: 3 }
  - { id: one, where: payments-2, reset: true, corrupt: 64B, percent: 10, first_attempts: 1, schedule: { on: 1s, off: 1s } }
  - { id: proven, where: payments, truncate: 10B, match: { callers: ['spiffe://shop/sa/gateway'] } }
  - { id: reads, where: gateway -> payments, hang: true, match: { methods: [GET] } }
  - { id: old, where: gateway -> payments, hang: true, match: { path: /charges } }
";

#[test]
fn rules_are_told_apart_by_whether_they_are_for_this_request() {
    let policy = serde_saphyr::from_str(FAULTS).unwrap();
    let url = Uri::from_static("http://payments/charges");
    let told = |baggage: &'static str| {
        let headers = [(
            http::HeaderName::from_static("baggage"),
            baggage.parse().unwrap(),
        )];
        explain(
            &policy,
            "gateway",
            &Method::POST,
            &url,
            &headers.into_iter().collect(),
        )
    };
    let plain = told("user=ann");
    let spared: Vec<_> = plain
        .spared_by
        .iter()
        .map(|it| (&*it.rule, it.key))
        .collect();
    assert_eq!(
        spared,
        [
            ("armed", "arm"),
            ("reads", "match.methods"),
            ("old", "match.path")
        ]
    );
    // One attempt, and the longest of the pause before it.
    assert_eq!(plain.worst_case.latency, Duration::from_secs(3));
    let armed = told("mesh.chaos=armed");
    assert_eq!(armed.spared_by.len(), 2);
    let text = armed.to_string();
    let chaos: Vec<&str> = text.lines().filter(|line| line.contains("chaos")).collect();
    insta::assert_snapshot!(chaos.join("\n"));
}

#[test]
fn a_pause_without_an_end_is_bounded_by_the_deadline() {
    for fault in ["delay: 'exponential:1ms'", "hang: true", "delay: 30s"] {
        let yaml = FAULTS.replace(
            "hang: true, match: { methods: [GET] }",
            &format!("position: request, {fault}"),
        );
        let policy = serde_saphyr::from_str(&yaml).unwrap();
        let url = Uri::from_static("http://payments/charges");
        let found = explain(
            &policy,
            "gateway",
            &Method::POST,
            &url,
            &http::HeaderMap::new(),
        );
        assert_eq!(found.worst_case.latency, Duration::from_secs(9), "{fault}");
    }
}
