//! Active health checks.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_telemetry::task;
use tokio::{net::TcpListener, time::sleep};

use crate::support::{AnyBody, App, FREE, Proxy, get, policy, send, text, within};

/// Waits until the n-th endpoint of the only cluster is of this health.
async fn until_health(proxy: &Proxy, endpoint: usize, wanted: &str) {
    within(async {
        loop {
            let clusters = proxy.admin("/clusters").await;
            if clusters[0]["endpoints"][endpoint]["health"] == wanted {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// An application with a switch for its health.
async fn fickle() -> (App, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&well);
    let app = App::answering(move |_, seen| match seen.uri.path() {
        "/health" if !well.load(Ordering::Relaxed) => text(StatusCode::SERVICE_UNAVAILABLE, "ill"),
        "/health" => text(StatusCode::OK, "well"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    (app, switch)
}

fn orders(app: &App) -> usize {
    let seen = app.seen();
    seen.iter().filter(|it| it.uri.path() == "/order").count()
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_ill_gets_no_requests_until_it_is_well_again() {
    let ((ill, switch), (well, _)) = (fickle().await, fickle().await);
    let yaml = "
clusters:
  payments:
    endpoints: [$ill, $well]
    balance: round-robin
    health_check: { http: /health, interval: 10ms, timeout: 20s, unhealthy_after: 2, healthy_after: 2 }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(
        yaml,
        &[("ill", ill.address), ("well", well.address)],
    ));
    until_health(&proxy, 0, "healthy").await;
    switch.store(false, Ordering::Relaxed);
    until_health(&proxy, 0, "unhealthy").await;
    for _ in 0..6 {
        send(proxy.out(), get("payments", "/order")).await;
    }
    assert_eq!((orders(&ill), orders(&well)), (0, 6));
    switch.store(true, Ordering::Relaxed);
    until_health(&proxy, 0, "healthy").await;
    for _ in 0..6 {
        send(proxy.out(), get("payments", "/order")).await;
    }
    assert_eq!((orders(&ill), orders(&well)), (3, 9));
}

#[tokio::test]
async fn with_nobody_healthy_requests_fail_fast_and_say_why() {
    let gone = std::net::TcpListener::bind(FREE).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let yaml = "
clusters:
  payments:
    endpoints: [$gone]
    health_check: { tcp: true, interval: 10ms, timeout: 20s }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("gone", address)]));
    until_health(&proxy, 0, "unhealthy").await;
    let answer = send(proxy.out(), get("payments", "/order")).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "no_healthy_upstream")
    );
    let message = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(message.contains("1 unhealthy"), "{message}");
}

#[tokio::test]
async fn an_endpoint_is_taken_until_probes_have_proven_it_unfit() {
    let app = App::answering(|_, seen| match seen.uri.path() {
        "/order" => text(StatusCode::OK, "ok"),
        _ => text(StatusCode::NOT_FOUND, "no such path"),
    })
    .await;
    let yaml = "
clusters:
  payments:
    endpoints: [$app]
    health_check: { http: /health, interval: 10ms, timeout: 20s, unhealthy_after: 4294967295 }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    until_health(&proxy, 0, "healthy").await;
    let answer = send(proxy.out(), get("payments", "/order")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_policy_without_checks_takes_back_whom_they_had_left_out() {
    let app = App::failing(StatusCode::IM_A_TEAPOT).await;
    let checked = "
clusters:
  payments:
    endpoints: [$app]
    health_check: { http: /health, interval: 10ms, timeout: 20s, unhealthy_after: 1 }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let plain = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let apps = [("app", app.address)];
    let proxy = Proxy::outbound(policy(checked, &apps));
    until_health(&proxy, 0, "unhealthy").await;
    proxy.sidecar.apply(1, policy(plain, &apps)).unwrap();
    let answer = send(proxy.out(), get("payments", "/order")).await;
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
}

/// A gRPC server that answers with a message and trailers as `answer` says to a path
/// and a body.
pub(crate) async fn grpc_server(
    answer: impl Fn(&str, &[u8]) -> (Bytes, &'static str) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(FREE).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    task::spawn("grpc_server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            task::spawn("grpc_connection", async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = Arc::clone(&answer);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let (message, status) = answer(head.uri.path(), &body);
                        Ok::<_, Infallible>(call(message, status))
                    }
                });
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

fn call(message: Bytes, status: &'static str) -> Response<AnyBody> {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(status),
    )]);
    let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok);
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test]
async fn grpc_health_is_asked_in_its_own_words() {
    const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";
    const NOT_SERVING: &[u8] = b"\0\0\0\0\x02\x08\x02";
    let well = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&well);
    let address = grpc_server(move |path, body| {
        let asked = (path, body) == ("/grpc.health.v1.Health/Check", b"\0\0\0\0\x06\x0a\x04shop");
        match (asked, well.load(Ordering::Relaxed)) {
            (true, true) => (Bytes::from_static(SERVING), "0"),
            (true, false) => (Bytes::from_static(NOT_SERVING), "0"),
            (false, _) => (Bytes::new(), "12"),
        }
    })
    .await;
    let yaml = "
clusters:
  payments:
    endpoints: [$app]
    protocol: http2
    health_check: { grpc: shop, interval: 10ms, timeout: 20s, healthy_after: 1 }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", address)]));
    until_health(&proxy, 0, "healthy").await;
    switch.store(false, Ordering::Relaxed);
    until_health(&proxy, 0, "unhealthy").await;
    switch.store(true, Ordering::Relaxed);
    until_health(&proxy, 0, "healthy").await;
}
