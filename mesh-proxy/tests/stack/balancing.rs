//! Endpoints, breakers and pooled connections.

use std::{net::SocketAddr, time::Duration};

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{App, FREE, Proxy, get, policy, post, send, text};

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

/// Answers one request a connection, says nothing of closing, and closes.
async fn forgetful() -> SocketAddr {
    let listener = TcpListener::bind(FREE).await.unwrap();
    let address = listener.local_addr().unwrap();
    mesh_telemetry::task::spawn("forgetful", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
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
    let proxy = Proxy::outbound(policy(yaml, &[("app", forgetful().await)]));
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
