//! Whom rules strike, and whom not: a verdict is a function of seed, rule, fault, trace
//! and attempt, and nothing outside a rule's place and conditions notices it.

use std::collections::{BTreeMap, BTreeSet};

use http::{Request, StatusCode};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use mesh_proxy::config::FaultKind;
use tokio::net::TcpStream;

use crate::support::{AnyBody, App, Proxy, get, policy, within};

const ROUTES: &str = "
clusters:
  payments: { endpoints: [$app], consecutive_failures: 0 }
  users: { endpoints: [$app], consecutive_failures: 0 }
routes:
  - { name: payments, match: { authority: payments }, cluster: payments }
  - { name: users, match: { authority: users }, cluster: users }
chaos: [$rule]
";

/// One caller of one sidecar, on one connection.
struct Caller {
    proxy: Proxy,
    app: App,
    sender: SendRequest<AnyBody>,
}

impl Caller {
    async fn under(rule: &str) -> Self {
        let app = App::fine().await;
        let yaml = ROUTES.replace("$rule", rule);
        let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
        let stream = TcpStream::connect(proxy.out()).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        mesh_telemetry::task::spawn("test_client", connection);
        Self { proxy, app, sender }
    }

    /// Status and the header that a rule may add.
    async fn ask(&mut self, request: Request<AnyBody>) -> (u16, bool) {
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let marked = answer.headers().contains_key("x-marked");
        let status = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body());
        body.await.unwrap();
        (status, marked)
    }

    /// The same on `payments`, in this trace.
    async fn trace(&mut self, trace: u128) -> (u16, bool) {
        self.ask(of_trace(trace)).await
    }
}

fn of_trace(trace: u128) -> Request<AnyBody> {
    let mut request = get("payments", "/");
    let parent = format!("00-{trace:032x}-00f067aa0ba902b7-01");
    let headers = request.headers_mut();
    headers.insert("traceparent", parent.parse().unwrap());
    request
}

const TWO_FAULTS: &str = "{ id: two, where: orders -> payments, seed: 7, percent: 40, \
     percent_of: { response_headers: 60 }, abort: 503, response_headers: { set: { x-marked: '1' } } }";

#[tokio::test]
async fn two_runs_with_one_seed_fault_the_same_requests_and_each_fault_draws_for_itself() {
    let mut fates = Vec::new();
    for step in [1, 173] {
        let mut caller = Caller::under(TWO_FAULTS).await;
        let mut seen = BTreeMap::new();
        for number in 0..300_u128 {
            let trace = 1 + (number * step) % 300; // all of them, in another order
            seen.insert(trace, caller.trace(trace).await);
        }
        fates.push(seen);
    }
    assert_eq!(fates[0], fates[1], "another fate in the second run");
    for (trace, seen) in &fates[0] {
        let draw = |kind| mesh_proxy::redraw(7, "two", kind, trace.to_be_bytes(), 1);
        let aborted = draw(FaultKind::Abort) < 0.4;
        let marked = draw(FaultKind::ResponseHeaders) < 0.6 && !aborted;
        let status = if aborted { 503 } else { 200 };
        assert_eq!(*seen, (status, marked), "{trace}");
    }
    let kinds: BTreeSet<_> = fates[0].values().collect();
    assert_eq!(kinds.len(), 3, "all three fates came up: {kinds:?}");
}

#[tokio::test]
async fn outside_its_place_and_conditions_a_rule_has_no_effect() {
    let rule = "{ id: narrow, where: orders -> payments, \
        match: { methods: [POST], path_prefix: /pay, headers: [{ name: x-user, exact: ann }] }, \
        abort: 503, percent_of: { abort: 50 }, response_headers: { set: { x-marked: '1' } } }";
    let mut caller = Caller::under(rule).await;
    for number in 0..10_000_u32 {
        let (host, path) = if number % 2 == 0 {
            ("users", "/pay")
        } else {
            ("payments", "/pay")
        };
        let mut request = get(host, path);
        // Each misses exactly one condition: the place, the method, the path, the header.
        *request.method_mut() = if number % 4 == 1 { "GET" } else { "POST" }
            .parse()
            .unwrap();
        if number % 8 == 3 {
            *request.uri_mut() = "/payments".parse().unwrap();
        }
        let user = if number % 8 == 7 { "bob" } else { "ann" };
        let headers = request.headers_mut();
        headers.insert("x-user", user.parse().unwrap());
        assert_eq!(caller.ask(request).await, (200, false), "{number}");
    }
    assert_eq!(caller.app.count(), 10_000);
    let receipt = caller.proxy.admin("/chaos").await["rules"][0]["receipt"].clone();
    assert_eq!(receipt["seen"], 5000, "{receipt}");
    assert_eq!(receipt["matched"], 0, "{receipt}");
    assert_eq!(receipt["struck"], 0, "{receipt}");
    let records = caller.proxy.sink.take();
    let faulted = records
        .iter()
        .filter(|it| it.describe().contains("mesh.fault"));
    assert_eq!(faulted.count(), 0);
}

#[tokio::test]
async fn the_first_requests_fail_and_the_rest_succeeds() {
    let rule = "{ id: first, where: orders -> payments, first_requests: 3, abort: 503 }";
    let mut caller = Caller::under(rule).await;
    let mut seen = Vec::new();
    for trace in 1..=6 {
        seen.push(caller.trace(trace).await.0);
    }
    assert_eq!(seen, [503, 503, 503, 200, 200, 200]);
    let receipt = caller.proxy.admin("/chaos").await["rules"][0]["receipt"].clone();
    assert_eq!(
        (&receipt["struck"], &receipt["spared"]),
        (&3.into(), &3.into())
    );
}

#[tokio::test]
async fn no_more_requests_are_affected_at_a_time_than_the_rule_allows() {
    let rule = "{ id: few, where: orders -> payments, max_affected: 1, hang: true }";
    let caller = Caller::under(rule).await;
    let out = caller.proxy.out();
    let held = mesh_telemetry::task::spawn("held", crate::support::send(out, of_trace(1)));
    while caller.proxy.admin("/chaos").await["rules"][0]["receipt"]["held"] != 1 {
        tokio::task::yield_now().await;
    }
    for trace in 2..5 {
        let answer = within(crate::support::send(out, of_trace(trace))).await;
        assert_eq!(answer.status, StatusCode::OK, "spared");
    }
    caller
        .proxy
        .sidecar
        .apply(
            2,
            policy(&ROUTES.replace("$rule", ""), &[("app", caller.app.address)]),
        )
        .unwrap();
    assert_eq!(within(held).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_replay_meets_the_fate_of_the_old_trace_and_the_record_says_so() {
    let rule = "{ id: some, where: orders -> payments, percent: 30, abort: 503 }";
    let mut caller = Caller::under(rule).await;
    let draw =
        |trace: u128| mesh_proxy::redraw(0, "some", FaultKind::Abort, trace.to_be_bytes(), 1);
    let struck = (1..1000).find(|&trace| draw(trace) < 0.3).unwrap();
    let spared = (1..1000).find(|&trace| draw(trace) >= 0.3).unwrap();
    for (trace, fate, status) in [(spared, struck, 503), (struck, spared, 200)] {
        let mut request = of_trace(trace);
        let fate = format!("mesh.fate={fate:032x}");
        let headers = request.headers_mut();
        headers.insert("baggage", fate.parse().unwrap());
        assert_eq!(caller.ask(request).await.0, status);
    }
    let records = caller.proxy.records(2).await.concat();
    assert!(
        records.contains(&format!("fate={struck:032x}")),
        "{records}"
    );
}
