//! Faults on purpose, where the rule says and nowhere else.

use std::time::Duration;

use http::StatusCode;
use mesh_proxy::config::FaultKind;
use tokio::time::Instant;

use crate::support::{App, Proxy, get, policy, post, send, trace_that, within};

const OUT: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 }, users: { endpoints: [$app], consecutive_failures: 0 } }
routes:
  - { name: payments, match: { authority: payments }, cluster: payments, retry: { attempts: 3 } }
  - { name: users, match: { authority: users }, cluster: users }
chaos: [$rule]
";

async fn orders(rule: &str) -> (Proxy, App) {
    let app = App::fine().await;
    let yaml = OUT.replace("$rule", rule);
    (Proxy::outbound(policy(&yaml, &[("app", app.address)])), app)
}

#[tokio::test(start_paused = true)]
async fn an_edge_rule_strikes_this_edge_alone() {
    let (proxy, _app) = orders("{ id: edge, where: orders -> payments, abort: 418 }").await;
    let struck = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(
        (struck.status.as_u16(), struck.reason()),
        (418, "fault_abort")
    );
    assert_eq!(
        send(proxy.out(), get("users", "/")).await.status,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_rule_strikes_at_the_node_and_not_at_its_callers() {
    let rule = "{ id: node, where: payments, abort: 503 }";
    let (caller, _app) = orders(rule).await;
    assert_eq!(
        send(caller.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, policy(&format!("chaos: [{rule}]"), &[]));
    let struck = send(node.inn(), get("payments", "/")).await;
    assert_eq!(
        (struck.status.as_u16(), struck.reason()),
        (503, "fault_abort")
    );
    assert_eq!(app.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_draws_anew_for_each_attempt_of_its_caller() {
    let app = App::fine().await;
    let rule = "chaos: [{ id: flaky, where: payments, percent: 50, abort: 503 }]";
    let node = Proxy::inbound(app.address, policy(rule, &[]));
    let caller = Proxy::outbound(policy(&OUT.replace("$rule", ""), &[("app", node.inn())]));
    let mut request = get("payments", "/");
    let trace = trace_that("flaky", FaultKind::Abort, 50.0, &[true, true, false]);
    request
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    assert_eq!(send(caller.out(), request).await.status, StatusCode::OK);
    assert_eq!(caller.votes("payments").await, (1, 2));
}

#[tokio::test(start_paused = true)]
async fn at_the_request_retries_cannot_help() {
    let (proxy, app) =
        orders("{ id: dead, where: orders -> payments, position: request, abort: 503 }").await;
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.reason(),
        "fault_abort"
    );
    assert_eq!(app.count(), 0);
    assert_eq!(
        proxy.votes("payments").await,
        (0, 0),
        "no endpoint is blamed"
    );
}

#[tokio::test(start_paused = true)]
async fn the_percentage_holds_and_the_same_trace_meets_the_same_fate() {
    let rule = "{ id: some, where: orders -> users, percent: 30, abort: 503 }";
    let (proxy, _app) = orders(rule).await;
    let strikes = |trace: u32| {
        let out = proxy.out();
        async move {
            let mut request = get("users", "/");
            let trace = format!("00-{trace:032x}-00f067aa0ba902b7-01");
            request
                .headers_mut()
                .insert("traceparent", trace.parse().unwrap());
            send(out, request).await.reason() == "fault_abort"
        }
    };
    let mut struck = 0;
    for trace in 1..=300 {
        let once = strikes(trace).await;
        struck += u32::from(once);
        if trace % 30 == 0 {
            assert_eq!(strikes(trace).await, once);
        }
    }
    assert!((50..130).contains(&struck), "{struck} of 300 at 30 %");
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_written_down_with_rule_and_true_length() {
    let (proxy, _app) = orders("{ id: slow, where: orders -> users, delay: 400ms }").await;
    let begin = Instant::now();
    assert_eq!(
        send(proxy.out(), get("users", "/")).await.status,
        StatusCode::OK
    );
    assert!(begin.elapsed() >= Duration::from_millis(400));
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("mesh.fault") && record.contains("slow"),
        "{record}"
    );
}

#[tokio::test]
async fn halting_turns_the_rules_off_and_lets_go_of_held_requests() {
    let app = App::fine().await;
    let rule = "chaos: [{ id: slow, where: payments, delay: 1h, for: 2h }]";
    let node = Proxy::inbound(app.address, policy(rule, &[]));
    let held = mesh_telemetry::task::spawn("held", send(node.inn(), get("payments", "/")));
    // An ordinary request that is answered only after the held one has been taken in.
    let rules = node.admin("/chaos").await["rules"].take();
    assert_eq!(rules.as_array().unwrap().len(), 1);
    let refused = send(
        node.sidecar.admin_address(),
        post("localhost", "/chaos/halt", ""),
    )
    .await;
    assert_eq!(
        refused.status,
        StatusCode::FORBIDDEN,
        "a page in a browser could send this"
    );
    let mut halt = post("localhost", "/chaos/halt", "");
    halt.headers_mut()
        .insert("x-glassmesh", "1".parse().unwrap());
    assert_eq!(
        send(node.sidecar.admin_address(), halt).await.body,
        r#"{"halted":1}"#
    );
    assert_eq!(within(held).await.unwrap().status, StatusCode::OK);
    assert_eq!(
        within(send(node.inn(), get("payments", "/"))).await.status,
        StatusCode::OK
    );
    node.sidecar.apply(2, policy(rule, &[])).unwrap();
    assert_eq!(
        node.admin("/chaos").await,
        serde_json::json!({ "halted": true, "rules": [] }),
        "the same rules stay off"
    );
    node.sidecar
        .apply(
            3,
            policy("chaos: [{ id: new, where: payments, abort: 503 }]", &[]),
        )
        .unwrap();
    assert_eq!(
        send(node.inn(), get("payments", "/")).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
