//! Endpoints, breakers and pooled connections.

use std::{net::SocketAddr, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    health::grpc_server,
    support::{App, FREE, Proxy, get, open, policy, post, send, serve, text, within},
};

#[tokio::test(start_paused = true)]
async fn requests_spread_over_the_endpoints() {
    let apps = [App::fine().await, App::fine().await];
    let yaml = "
clusters: { payments: { endpoints: [$one, $two] } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(
        yaml,
        &[("one", apps[0].address), ("two", apps[1].address)],
    ));
    for _ in 0..40 {
        send(proxy.out(), get("payments", "/")).await;
    }
    assert!(
        apps.iter().all(|app| app.count() >= 5),
        "{} {}",
        apps[0].count(),
        apps[1].count()
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_ejected_and_taken_back_by_a_probe() {
    let app = App::answering(|number, _| match number {
        1..=3 => text(StatusCode::INTERNAL_SERVER_ERROR, "no"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let yaml = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 3, ejection: 5s } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    for _ in 0..3 {
        send(proxy.out(), get("payments", "/")).await;
    }
    let refused = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(
        (refused.status, refused.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "no_healthy_upstream")
    );
    assert_eq!(app.count(), 3, "an ejected endpoint is left alone");
    tokio::time::advance(Duration::from_secs(5)).await;
    let probe = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(probe.status, StatusCode::OK);
    assert_eq!(
        proxy.admin("/clusters").await[0]["endpoints"][0]["breaker"],
        "closed"
    );
    let records = proxy.records(5).await;
    assert!(records[2].contains("mesh.ejected"), "{}", records[2]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_when_a_connection_is_made() {
    let app = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: ['localhost:$port'] } }
routes: [{ name: payments, match: {}, cluster: payments }]
"
    .replace("$port", &app.address.port().to_string());
    let proxy = Proxy::outbound(policy(&yaml, &[]));
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
}

/// Answers one request a connection with two bytes of a body that is announced to be so
/// long, says nothing of closing, and closes.
async fn closing(announced: usize) -> SocketAddr {
    let listener = TcpListener::bind(FREE).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\nok");
    mesh_telemetry::task::spawn("closing", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_no_error() {
    let yaml = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", closing(2).await)]));
    for _ in 0..20 {
        assert_eq!(
            send(proxy.out(), get("payments", "/")).await.status,
            StatusCode::OK
        );
        assert_eq!(
            send(proxy.out(), post("payments", "/", "")).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test(start_paused = true)]
async fn requests_with_the_same_header_go_to_the_same_endpoint() {
    let apps = [App::fine().await, App::fine().await, App::fine().await];
    let yaml = "
clusters:
  payments:
    endpoints: [$a, $b, $c]
    balance: { consistent-hash: { header: X-User } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let addresses = [
        ("a", apps[0].address),
        ("b", apps[1].address),
        ("c", apps[2].address),
    ];
    let proxy = Proxy::outbound(policy(yaml, &addresses));
    for user in 0..20 {
        for _ in 0..2 {
            let mut request = get("payments", "/");
            request.headers_mut().insert("x-user", user.into());
            send(proxy.out(), request).await;
        }
    }
    for app in &apps {
        let seen: Vec<_> = app
            .seen()
            .iter()
            .map(|it| it.headers["x-user"].clone())
            .collect();
        assert!(!seen.is_empty());
        for pair in seen.chunks(2) {
            assert_eq!(pair[0], pair[1], "{seen:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_large_a_share_of_failures_ejects_and_the_trace_says_so() {
    let app = App::answering(|number, _| match number % 2 {
        0 => text(StatusCode::INTERNAL_SERVER_ERROR, "no"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let yaml = "
clusters:
  payments:
    endpoints: [$app]
    consecutive_failures: 0
    failure_share: { share: 0.4, minimum: 10 }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    for _ in 0..12 {
        send(proxy.out(), get("payments", "/")).await;
    }
    assert_eq!(app.count(), 10);
    let records = proxy.records(12).await;
    assert!(records[9].contains("failure_share"), "{}", records[9]);
    let endpoint = &proxy.admin("/clusters").await[0]["endpoints"][0];
    assert_eq!(endpoint["ejection"]["reason"], "failure_share");
    assert!(endpoint["ejection"]["probe_in_ms"].as_u64().unwrap() <= 1000);
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_that_fails_more_than_the_others_is_ejected() {
    let good = [App::fine().await, App::fine().await, App::fine().await];
    let bad = App::answering(|number, _| match number % 2 {
        0 => text(StatusCode::INTERNAL_SERVER_ERROR, "no"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let yaml = "
clusters:
  payments:
    endpoints: [$a, $b, $c, $bad]
    balance: round-robin
    success_rate: { deviations: 1.5, minimum_endpoints: 4, minimum: 5, window: 10s }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(
        yaml,
        &[
            ("a", good[0].address),
            ("bad", bad.address),
            ("b", good[1].address),
            ("c", good[2].address),
        ],
    ));
    for _ in 0..40 {
        send(proxy.out(), get("payments", "/")).await;
    }
    tokio::time::sleep(Duration::from_millis(10_001)).await;
    let clusters = proxy.admin("/clusters").await;
    let reasons: Vec<_> = clusters[0]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["ejection"]["reason"].as_str())
        .collect();
    assert_eq!(reasons, [None, None, None, Some("success_rate")]);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_the_trailers_is_the_vote() {
    let failing = grpc_server(|_, _| (bytes::Bytes::from_static(b"\0\0\0\0\0"), "14")).await;
    let yaml = "
clusters: { payments: { endpoints: [$app], protocol: http2, consecutive_failures: 3 } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", failing)]));
    for _ in 0..3 {
        let answer = send(proxy.out(), get("payments", "/shop.Pay/Charge")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(proxy.votes("payments").await, (0, 3));
    let refused = send(proxy.out(), get("payments", "/shop.Pay/Charge")).await;
    assert_eq!(refused.reason(), "no_healthy_upstream");
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_are_failures() {
    let yaml = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 2 } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", closing(9).await)]));
    for _ in 0..2 {
        let answer = open(proxy.out(), get("payments", "/")).await.unwrap();
        answer.into_body().collect().await.unwrap_err();
    }
    assert_eq!(proxy.votes("payments").await, (0, 2));
    let refused = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(refused.reason(), "no_healthy_upstream");
}

#[tokio::test]
async fn an_endpoint_that_leaves_finishes_what_it_has() {
    let (release, released) = tokio::sync::watch::channel(false);
    let old = serve(move |_| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            text(StatusCode::OK, "old")
        }
    })
    .await;
    let new = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 50s }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", old)]));
    let out = proxy.out();
    let pending =
        mesh_telemetry::task::spawn(
            "pending",
            async move { send(out, get("payments", "/")).await },
        );
    within(async {
        while proxy.admin("/clusters").await[0]["endpoints"][0]["in_flight"] != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let next = policy(yaml, &[("app", new.address)]);
    proxy.sidecar.apply(1, next).unwrap();
    assert_eq!(proxy.admin("/clusters").await[0]["draining"], 1);
    assert_eq!(
        &send(proxy.out(), get("payments", "/")).await.body[..],
        b"ok"
    );
    release.send(true).unwrap();
    assert_eq!(&pending.await.unwrap().body[..], b"old");
    within(async {
        while proxy.admin("/clusters").await[0]["draining"] != 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
