//! When a request is tried again, and when it is not.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::Instant;

use crate::support::{App, Proxy, full, get, policy, post, send, text};

const RETRYING: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0, budget: { share: 10, floor: 10 } } }
routes:
  - { name: payments, match: {}, cluster: payments, retry: { attempts: 3 } }
";

/// Fails once, then works.
async fn flaky() -> App {
    App::answering(|number, _| match number {
        1 => text(StatusCode::SERVICE_UNAVAILABLE, "not yet"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await
}

fn before(app: &App) -> Proxy {
    Proxy::outbound(policy(RETRYING, &[("app", app.address)]))
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_repeated() {
    let app = flaky().await;
    let answer = send(before(&app).out(), get("payments", "/")).await;
    assert_eq!((answer.status, app.count()), (StatusCode::OK, 2));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_not_repeated() {
    let app = flaky().await;
    let proxy = before(&app);
    let answer = send(proxy.out(), post("payments", "/", "charge")).await;
    assert_eq!(
        (answer.status, app.count()),
        (StatusCode::SERVICE_UNAVAILABLE, 1)
    );
    let record = &proxy.records(1).await[0];
    assert!(record.contains("not_idempotent"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_write_with_an_idempotency_key_is_repeated_with_its_body() {
    let app = flaky().await;
    let mut request = post("payments", "/", "charge");
    request
        .headers_mut()
        .insert("idempotency-key", "7".parse().unwrap());
    let answer = send(before(&app).out(), request).await;
    assert_eq!(answer.status, StatusCode::OK);
    let bodies: Vec<Bytes> = app.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["charge", "charge"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_passes_and_is_not_repeated() {
    let app = flaky().await;
    let proxy = before(&app);
    let body = vec![7_u8; 64 * 1024 + 1];
    let mut request = post("payments", "/", body.clone());
    request
        .headers_mut()
        .insert("idempotency-key", "7".parse().unwrap());
    let answer = send(proxy.out(), request).await;
    assert_eq!(
        (answer.status, app.count()),
        (StatusCode::SERVICE_UNAVAILABLE, 1)
    );
    assert_eq!(app.seen()[0].body, body);
    let record = &proxy.records(1).await[0];
    assert!(record.contains("body_too_large"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_the_last_answer_is_passed_on() {
    let app = App::failing(StatusCode::BAD_GATEWAY).await;
    let proxy = before(&app);
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!((answer.status, app.count()), (StatusCode::BAD_GATEWAY, 3));
    assert_eq!(answer.body, "no");
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("attempts_exhausted") && record.contains("URX"),
        "{record}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_before_the_attempts_do() {
    let app = App::failing(StatusCode::SERVICE_UNAVAILABLE).await;
    let yaml = RETRYING.replace("share: 10, floor: 10", "share: 0.2, floor: 0");
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    for _ in 0..20 {
        send(proxy.out(), get("payments", "/")).await;
    }
    assert_eq!(
        app.count(),
        24,
        "20 requests and a fifth of that in retries"
    );
    let records = proxy.records(20).await;
    let refused = records
        .iter()
        .filter(|record| record.contains("budget_exhausted"));
    assert!(refused.count() >= 16);
}

#[tokio::test]
async fn a_shed_request_is_not_retried() {
    let app = App::fine().await;
    let yaml = RETRYING.replace(
        "cluster: payments, retry",
        "rate_limit: { per_second: 1 }, cluster: payments, retry",
    );
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    send(proxy.out(), get("payments", "/")).await;
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.reason(), "rate_limited");
    assert_eq!(app.count(), 1);
    let record = proxy.records(2).await.remove(1);
    assert!(!record.contains("attempt payments"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_short_retry_after_is_honoured() {
    let app = App::answering(|number, _| match number {
        1 => Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .header("retry-after", "2")
            .body(full("wait"))
            .unwrap(),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let begin = Instant::now();
    let answer = send(before(&app).out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        begin.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_goes_to_another_endpoint() {
    let (bad, good) = (
        App::failing(StatusCode::SERVICE_UNAVAILABLE).await,
        App::fine().await,
    );
    let yaml = RETRYING
        .replace("$app", "$bad, $good")
        .replace("attempts: 3", "attempts: 2");
    let proxy = Proxy::outbound(policy(
        &yaml,
        &[("bad", bad.address), ("good", good.address)],
    ));
    for _ in 0..20 {
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(good.count(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_elsewhere() {
    let good = App::fine().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let yaml = RETRYING.replace("$app", "$bad, $good");
    let proxy = Proxy::outbound(policy(&yaml, &[("bad", nobody), ("good", good.address)]));
    for _ in 0..10 {
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

/// Before an application, with this retry policy.
fn retrying(app: &App, retry: &str) -> Proxy {
    let yaml = RETRYING.replace("{ attempts: 3 }", retry);
    Proxy::outbound(policy(&yaml, &[("app", app.address)]))
}

/// First this answer, then 200.
async fn first(answer: fn() -> Response<crate::support::AnyBody>) -> App {
    App::answering(move |number, _| match number {
        1 => answer(),
        _ => text(StatusCode::OK, "ok"),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_conflict_and_a_listed_status_are_repeated_on_demand() {
    for (retry, status) in [
        ("{ on: [retriable-4xx] }", StatusCode::CONFLICT),
        ("{ on: [], statuses: [425] }", StatusCode::TOO_EARLY),
    ] {
        let app = App::answering(move |number, _| {
            text(if number == 1 { status } else { StatusCode::OK }, "x")
        })
        .await;
        let answer = send(retrying(&app, retry).out(), get("payments", "/")).await;
        assert_eq!((answer.status, app.count()), (StatusCode::OK, 2), "{retry}");
        let app = App::failing(status).await;
        send(before(&app).out(), get("payments", "/")).await;
        assert_eq!(app.count(), 1, "the default policy leaves {status} alone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_the_head_is_known_in_time_to_repeat() {
    let app = first(|| {
        Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "14")
            .body(full(""))
            .unwrap()
    })
    .await;
    let proxy = retrying(&app, "{ on: [grpc-unavailable] }");
    let mut request = get("payments", "/shop.Pay/Charge");
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    let answer = send(proxy.out(), request).await;
    assert!(answer.headers.get("grpc-status").is_none());
    assert_eq!(app.count(), 2);
    let record = &proxy.records(1).await[0];
    assert!(record.contains("condition=grpc-unavailable"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn every_method_is_repeated_where_the_route_says_so() {
    let app = flaky().await;
    let proxy = retrying(&app, "{ any_method: true }");
    let answer = send(proxy.out(), post("payments", "/", "charge")).await;
    assert_eq!((answer.status, app.count()), (StatusCode::OK, 2));
    assert_eq!(app.seen()[1].body, "charge");
}

#[tokio::test(start_paused = true)]
async fn a_route_can_keep_larger_bodies() {
    let app = flaky().await;
    let proxy = retrying(&app, "{ any_method: true, replay: 1MiB }");
    let body = vec![7_u8; 200 * 1024];
    let answer = send(proxy.out(), post("payments", "/", body.clone())).await;
    assert_eq!((answer.status, app.count()), (StatusCode::OK, 2));
    assert_eq!(app.seen()[1].body, body);
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_sheds_delays_nobody_who_can_go_elsewhere() {
    let full_up = || {
        Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .header("retry-after", "4")
            .header("x-mesh-reason", "overload")
            .body(full("full"))
            .unwrap()
    };
    let (busy, idle) = (
        App::answering(move |_, _| full_up()).await,
        App::fine().await,
    );
    let yaml = RETRYING.replace("$app", "$busy, $idle");
    let both = [("busy", busy.address), ("idle", idle.address)];
    let proxy = Proxy::outbound(policy(&yaml, &both));
    let begin = Instant::now();
    for _ in 0..20 {
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert!(busy.count() > 0 && begin.elapsed() < Duration::from_secs(4));
    let lone = Proxy::outbound(policy(RETRYING, &[("app", busy.address)]));
    let begin = Instant::now();
    send(lone.out(), get("payments", "/")).await;
    assert!(begin.elapsed() >= Duration::from_secs(4), "asked to wait");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_retry_for_which_the_deadline_leaves_no_time() {
    let app = App::answering(|_, _| {
        Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .header("retry-after", "3")
            .body(full("wait"))
            .unwrap()
    })
    .await;
    let yaml = RETRYING.replace(
        "cluster: payments, retry",
        "cluster: payments, deadline: 2s, retry",
    );
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let record = &proxy.records(1).await[0];
    assert!(record.contains("mesh.retry_refused=deadline"), "{record}");
}
