//! Which requests a rule strikes: its place, its conditions, and who asks for it.

use std::net::SocketAddr;

use http::{HeaderName, Request};
use mesh_proxy::config::{FaultKind, Policy};

use crate::{
    pki::{Pki, id},
    support::{AnyBody, App, Proxy, config, get, policy, post, send, trace_that, within},
};

/// A rule with this rest on the edge from orders to payments.
async fn on_edge(rest: &str) -> (Proxy, App) {
    let app = App::fine().await;
    let yaml = format!(
        "
clusters: {{ payments: {{ endpoints: [$app], consecutive_failures: 0 }} }}
routes:
  - {{ name: charges, match: {{ path_prefix: /charges }}, cluster: payments }}
  - {{ name: moved, match: {{ path_prefix: /v1 }}, cluster: payments, rewrite: {{ path_prefix: /v2 }} }}
  - {{ name: rest, match: {{}}, cluster: payments }}
chaos: [{{ id: rule, where: orders -> payments, abort: 418, {rest} }}]
"
    );
    (Proxy::outbound(policy(&yaml, &[("app", app.address)])), app)
}

/// The inbound side of payments with one rule.
async fn at(place: &str, rest: &str) -> (Proxy, App) {
    let app = App::fine().await;
    let proxy = Proxy::inbound(app.address, node(place, "callers: [orders, gateway]", rest));
    (proxy, app)
}

fn node(place: &str, inbound: &str, rest: &str) -> Policy {
    let yaml = format!(
        "{{ inbound: {{ {inbound} }}, chaos: [{{ id: rule, where: {place}, abort: 418, {rest} }}] }}"
    );
    policy(&yaml, &[])
}

fn with(
    mut request: Request<AnyBody>,
    headers: &[(&'static str, &'static str)],
) -> Request<AnyBody> {
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

async fn strikes(address: SocketAddr, request: Request<AnyBody>) -> bool {
    let answer = within(send(address, request)).await;
    match (answer.status.as_u16(), answer.reason()) {
        (418, "fault_abort") => true,
        (200, _) => false,
        other => panic!("neither struck nor spared: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_condition_on_an_edge_tells_requests_apart() {
    let user = [("x-user", "ann")];
    let baggage = [("baggage", "a=1, tester=ann%20b;p=1"), ("baggage", "c=2")];
    for (rest, struck, spared) in [
        (
            "match: { methods: [POST, PURGE] }",
            post("p", "/", "x"),
            get("p", "/"),
        ),
        (
            "match: { path: /charges }",
            get("p", "//%63harges/?x=1"),
            get("p", "/charges/7"),
        ),
        (
            "match: { path_prefix: /charges }",
            get("p", "/charges/7"),
            get("p", "/chargesheet"),
        ),
        (
            "match: { path_template: '/charges/{id}' }",
            get("p", "/charges/7"),
            get("p", "/charges"),
        ),
        (
            "match: { path_regex: '/charges/[0-9]+' }",
            get("p", "/charges/7"),
            get("p", "/charges/x"),
        ),
        (
            "match: { path: /v2/charges }",
            get("p", "/v1/charges"),
            get("p", "/charges"),
        ),
        (
            "match: { route: charges }",
            get("p", "/charges"),
            get("p", "/other"),
        ),
        (
            "match: { headers: [{ name: X-User, exact: ann }] }",
            with(get("p", "/"), &user),
            get("p", "/"),
        ),
        (
            "match: { headers: [{ name: x-user, prefix: a, invert: true }] }",
            get("p", "/"),
            with(get("p", "/"), &user),
        ),
        (
            "match: { baggage: [{ name: tester, exact: 'ann b' }, { name: c }] }",
            with(get("p", "/"), &baggage),
            with(get("p", "/"), &baggage[..1]),
        ),
        (
            "match: { methods: [POST], path: /charges, headers: [{ name: x-user }] }",
            with(post("p", "/charges", "x"), &user),
            with(post("p", "/", "x"), &user),
        ),
    ] {
        for position in ["attempt", "request"] {
            let (proxy, app) = on_edge(&format!("position: {position}, {rest}")).await;
            let copy = |request: &Request<AnyBody>| {
                let mut copy = post("p", "/", "x");
                *copy.method_mut() = request.method().clone();
                *copy.uri_mut() = request.uri().clone();
                *copy.headers_mut() = request.headers().clone();
                copy
            };
            assert!(strikes(proxy.out(), copy(&struck)).await, "{rest}");
            assert_eq!(app.count(), 0, "{rest}");
            assert!(!strikes(proxy.out(), copy(&spared)).await, "{rest}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_known_by_name_and_strangers_as_external() {
    let (node, _app) = at("payments", "match: { callers: [orders, external] }").await;
    for (source, struck) in [
        (Some("orders"), true),
        (Some("gateway"), false),
        (Some("nobody-we-know"), true),
        (None, true),
    ] {
        let mut request = get("payments", "/");
        if let Some(source) = source {
            request = with(request, &[("x-mesh-source", source)]);
        }
        assert_eq!(strikes(node.inn(), request).await, struck, "{source:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_alone_can_be_bad() {
    for (place, struck) in [
        ("payments", true),
        ("payments-1", true),
        ("payments-2", false),
        ("payment", false),
    ] {
        let (node, _app) = at(place, "").await;
        assert_eq!(
            strikes(node.inn(), get("payments", "/")).await,
            struck,
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_armed_rule_strikes_those_alone_who_name_it() {
    let (edge, _app) = on_edge("arm: baggage").await;
    let (node, _other) = at("payments", "arm: baggage").await;
    for address in [edge.out(), node.inn()] {
        for (baggage, struck) in [
            ("mesh.chaos=rule", true),
            ("user=7, mesh.chaos=other:rule", true),
            ("mesh.chaos=other", false),
            ("mesh.chaos=ruler", false),
            ("chaos=rule", false),
        ] {
            let request = with(get("payments", "/"), &[("baggage", baggage)]);
            assert_eq!(strikes(address, request).await, struck, "{baggage}");
        }
        assert!(!strikes(address, get("payments", "/")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn baggage_does_not_arm_a_rule_that_is_off() {
    let (edge, _app) = on_edge("arm: baggage, enabled: false").await;
    let request = with(get("payments", "/"), &[("baggage", "mesh.chaos=rule")]);
    assert!(!strikes(edge.out(), request).await);
}

#[tokio::test(start_paused = true)]
async fn at_the_edge_of_the_mesh_testers_alone_can_arm_rules() {
    for (testers, tester) in [
        ("", false),
        ("testers: { networks: [127.0.0.0/8] }", true),
        ("testers: { networks: [127.0.0.1] }", true),
        ("testers: { networks: [10.0.0.0/8, '::1/128'] }", false),
    ] {
        let app = App::fine().await;
        let inbound = format!("edge: true, {testers}");
        let edge = Proxy::inbound(app.address, node("payments", &inbound, "arm: baggage"));
        let claims = [
            ("baggage", "user=7,mesh.chaos=rule"),
            ("x-mesh-source", "orders"),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        let request = with(get("payments", "/"), &claims);
        assert_eq!(strikes(edge.inn(), request).await, tester, "{testers}");
        let other = [
            ("baggage", "user=7,mesh.chaos=other"),
            ("x-mesh-source", "orders"),
        ];
        assert!(!strikes(edge.inn(), with(get("payments", "/"), &other)).await);
        let sent = &app.seen().pop().unwrap().headers;
        assert!(!sent.contains_key("x-mesh-source"), "{testers}");
        let wanted = if tester {
            "user=7,mesh.chaos=other"
        } else {
            "user=7"
        };
        assert_eq!(sent["baggage"], wanted, "{testers}");
    }
}

#[tokio::test]
async fn a_certificate_proves_callers_and_testers() {
    let (app, pki) = (App::fine().await, Pki::new());
    for (settings, rest) in [
        (
            "callers: [orders]".to_owned(),
            format!("match: {{ callers: ['{}'] }}", id("orders")),
        ),
        (
            format!(
                "edge: true, testers: {{ identities: ['{}'] }}",
                id("orders")
            ),
            "arm: baggage".to_owned(),
        ),
    ] {
        let mut settings = config(
            "payments",
            Some(app.address),
            node("payments", &settings, &rest),
        );
        let shown = pki.issue("payments", &[&id("payments"), "localhost"]);
        settings.inbound.as_mut().unwrap().tls = Some(shown.listener(Some(pki.ca())));
        let proxy = Proxy::start(settings);
        for (caller, struck) in [("orders", true), ("gateway", false)] {
            let client = pki.client(Some(&pki.service(caller)));
            let request = with(get("payments", "/"), &[("baggage", "mesh.chaos=rule")]);
            let answer = within(crate::tls_listener::ask(proxy.inn(), &client, request)).await;
            assert_eq!(answer.status == 418, struck, "{caller} {rest}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_meets_the_fate_of_the_trace_that_its_baggage_names() {
    let (proxy, _app) = on_edge("percent: 50").await;
    for wanted in [true, false] {
        let fate = trace_that("rule", FaultKind::Abort, 50.0, &[wanted]);
        let own = trace_that("rule", FaultKind::Abort, 50.0, &[!wanted]);
        assert_eq!(strikes(proxy.out(), traced(&own, None)).await, !wanted);
        let baggage = format!("mesh.fate={}", &fate[3..35]);
        assert_eq!(
            strikes(proxy.out(), traced(&own, Some(&baggage))).await,
            wanted
        );
    }
}

/// A request of this trace.
fn traced(traceparent: &str, baggage: Option<&str>) -> Request<AnyBody> {
    let mut request = get("payments", "/");
    let headers = request.headers_mut();
    headers.insert("traceparent", traceparent.parse().unwrap());
    if let Some(baggage) = baggage {
        headers.insert("baggage", baggage.parse().unwrap());
    }
    request
}
