//! What each fault of an edge looks like from above: to retries, to the breaker, to the
//! caller, in the record. A fault is taken for what it imitates.

use http::StatusCode;

use crate::support::{App, Proxy, get, policy, send};

const ROUTE: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 } }
routes:
  - name: payments
    match: { authority: payments }
    cluster: payments
    deadline: 2s
    attempt_timeout: 200ms
    retry: { attempts: 2, on: [$on] }
chaos: [{ id: bad, where: orders -> payments, $rule }]
";

async fn orders(on: &str, rule: &str) -> (Proxy, App) {
    let app = App::fine().await;
    let yaml = ROUTE.replace("$on", on).replace("$rule", rule);
    (Proxy::outbound(policy(&yaml, &[("app", app.address)])), app)
}

/// A fault, the condition of retries that it meets, what the caller gets who is not
/// saved, and what the record says of the attempt.
type Row = (
    &'static str,
    &'static str,
    (u16, &'static str),
    &'static str,
    &'static str,
);

/// See [`Row`].
const TABLE: [Row; 6] = [
    (
        "abort: 503",
        "5xx",
        (503, "fault_abort"),
        "FI",
        "fault=abort",
    ),
    (
        "abort: 'grpc:UNAVAILABLE'",
        "grpc-unavailable",
        (200, "fault_abort"),
        "FI",
        "fault=abort",
    ),
    (
        "refuse: true",
        "connect-failure",
        (503, "fault_refuse"),
        "UF,FI",
        "fault=refuse",
    ),
    (
        "reset: true",
        "reset",
        (502, "fault_reset"),
        "UC,FI",
        "fault=reset",
    ),
    (
        "hang: true",
        "attempt-timeout",
        (504, "attempt_timeout"),
        "UT,DI",
        "fault=hang",
    ),
    (
        "delay: 10s",
        "attempt-timeout",
        (504, "attempt_timeout"),
        "UT,DI",
        "fault=delay",
    ),
];

#[tokio::test(start_paused = true)]
async fn the_fault_of_one_attempt_is_repeated_where_its_condition_says_so() {
    for (fault, condition, _, flags, event) in TABLE {
        let rule = format!("first_attempts: 1, {fault}");
        let (proxy, app) = orders(condition, &rule).await;
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK, "{fault}");
        assert_eq!(app.count(), 1, "{fault}: the first attempt never got there");
        assert_eq!(proxy.votes("payments").await, (1, 1), "{fault}");
        let record = &proxy.records(1).await[0];
        for part in [
            format!("condition={condition}"),
            format!("mesh.fault rule=bad {event} seed=0"),
            format!("mesh.response_flags={flags}"),
        ] {
            assert!(record.contains(&part), "{fault}: no `{part}` in\n{record}");
        }
        let head = record.lines().next().unwrap();
        assert!(!head.contains("response_flags"), "{fault}: {head}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_fault_of_one_attempt_reaches_the_caller_where_no_condition_names_it() {
    for (fault, condition, wanted, flags, event) in TABLE {
        let other = if condition == "5xx" { "reset" } else { "5xx" };
        let (proxy, app) = orders(other, &format!("first_attempts: 1, {fault}")).await;
        let answer = send(proxy.out(), get("payments", "/")).await;
        let got = (answer.status.as_u16(), answer.reason());
        assert_eq!(got, wanted, "{fault}");
        assert_eq!(app.count(), 0, "{fault}");
        assert_eq!(proxy.votes("payments").await, (0, 1), "{fault}");
        let record = &proxy.records(1).await[0];
        assert!(record.contains(event), "{fault}: {record}");
        let head = record.lines().next().unwrap();
        let flags = format!("mesh.response_flags={flags}");
        assert!(head.contains(&flags), "{fault}: no `{flags}` in {head}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_request_no_fault_is_repeated_or_blamed() {
    for (fault, condition, (status, reason), _, event) in TABLE {
        let (proxy, app) = orders(condition, &format!("position: request, {fault}")).await;
        let answer = send(proxy.out(), get("payments", "/")).await;
        // There is no attempt yet that could be timed out.
        let reason = reason.replace("attempt_timeout", "deadline");
        let got = (answer.status.as_u16(), answer.reason());
        assert_eq!(got, (status, reason.as_str()), "{fault}");
        assert_eq!(app.count(), 0, "{fault}");
        assert_eq!(proxy.votes("payments").await, (0, 0), "{fault}");
        let record = &proxy.records(1).await[0];
        assert!(record.contains(event), "{fault}: {record}");
        assert!(!record.contains("attempt payments"), "{fault}: {record}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_says_what_the_rule_says() {
    for (abort, content_type, body) in [
        (
            "{ status: 500, body: sorry }",
            "text/plain; charset=utf-8",
            "sorry",
        ),
        (
            r#"{ status: 500, body: '{"no":1}' }"#,
            "application/json",
            r#"{"no":1}"#,
        ),
        (
            "{ status: 500, body: <p/>, content_type: text/html }",
            "text/html",
            "<p/>",
        ),
        (
            "500",
            "application/json",
            r#"{"code":"fault_abort","message":"chaos rule `bad` aborts this request"}"#,
        ),
    ] {
        let (proxy, _app) = orders("reset", &format!("abort: {abort}")).await;
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers["content-type"], content_type);
        assert_eq!(answer.body, body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_grpc_gets_a_status_of_its_own_whatever_the_abort() {
    for (abort, status, message) in [
        ("503", "14", "chaos rule `bad` aborts this request"),
        (
            "'grpc:ABORTED'",
            "10",
            "chaos rule `bad` aborts this request",
        ),
        ("{ grpc: ABORTED, message: try again }", "10", "try again"),
    ] {
        let (proxy, _app) = orders("reset", &format!("abort: {abort}")).await;
        let mut request = get("payments", "/");
        let grpc = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", grpc);
        let answer = send(proxy.out(), request).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["grpc-status"], status, "{abort}");
        assert_eq!(answer.headers["grpc-message"], message, "{abort}");
        assert_eq!(answer.reason(), "fault_abort");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_are_changed_on_both_ways_and_the_record_says_so() {
    let rule = "request_headers: { set: { x-sent: bad }, remove: [x-user] }, \
                response_headers: { add: { x-got: worse } }";
    let (proxy, app) = orders("reset", rule).await;
    let mut request = get("payments", "/");
    let headers = request.headers_mut();
    headers.insert("x-user", "ann".parse().unwrap());
    let answer = send(proxy.out(), request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-got"], "worse");
    let seen = &app.seen()[0].headers;
    assert_eq!(seen["x-sent"], "bad");
    assert!(!seen.contains_key("x-user"));
    let record = &proxy.records(1).await[0];
    for kind in ["request_headers", "response_headers"] {
        assert!(record.contains(&format!("fault={kind}")), "{record}");
    }
    assert!(!record.contains("response_flags"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn rules_strike_in_their_order_and_one_that_ends_a_request_is_the_last() {
    let app = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: { authority: payments }, cluster: payments }]
chaos:
  - { id: slow, where: orders -> payments, delay: 50ms }
  - { id: dead, where: orders -> payments, abort: 418 }
  - { id: late, where: orders -> payments, abort: 503 }
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    let record = &proxy.records(1).await[0];
    let slow = record.find("rule=slow").unwrap();
    let dead = record.find("rule=dead").unwrap();
    assert!(slow < dead && !record.contains("rule=late"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_nobody_sampled_is_kept_from_the_fault_on() {
    let (proxy, app) = orders("reset", "delay: 50ms").await;
    let mut request = get("payments", "/");
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let headers = request.headers_mut();
    headers.insert("traceparent", unsampled.parse().unwrap());
    send(proxy.out(), request).await;
    let sent = app.seen()[0].headers["traceparent"].clone();
    assert!(sent.to_str().unwrap().ends_with("-01"), "{sent:?}");
    assert_eq!(proxy.records(1).await.len(), 1);
}
