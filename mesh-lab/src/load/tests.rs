//! Against a real server on a free port.

use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

#[derive(Default)]
struct FakeShop {
    seen: Mutex<Vec<(String, http::HeaderMap, Bytes)>>,
    broken: AtomicBool,
}

impl FakeShop {
    async fn start() -> (Arc<Self>, Uri) {
        let shop = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&shop);
        mesh_telemetry::task::spawn("fake-shop", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shop = Arc::clone(&serving);
                mesh_telemetry::task::spawn("fake-shop-connection", async move {
                    let service = service_fn(move |request| Arc::clone(&shop).answer(request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        (shop, uri.parse().unwrap())
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let line = format!("{} {}", parts.method, parts.uri.path());
        let (status, json) = match line.as_str() {
            "GET /products" => (200, r#"[{"product_id":7,"name":"Lamp"}]"#),
            "GET /products/7" => (200, r#"{"product_id":7}"#),
            "POST /users" => (201, r#"{"user_id":"u-1"}"#),
            "POST /orders" => (201, r#"{"order_id":"o-1"}"#),
            "GET /orders/o-1" => (200, r#"{"order_id":"o-1"}"#),
            _ => (404, "{}"),
        };
        self.seen.lock().unwrap().push((line, parts.headers, body));
        let mut response = Response::new(Full::from(json));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if self.broken.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let reason = http::HeaderValue::from_static("deadline");
            response.headers_mut().insert("x-mesh-reason", reason);
        }
        Ok(response)
    }
}

fn options(target: Uri) -> LoadOptions {
    LoadOptions {
        target,
        rps: 400.0,
        duration: Some(Duration::from_millis(500)),
        seed: 7,
        mix: Mix::default(),
        max_in_flight: 64,
        timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn visitors_browse_sign_up_order_and_look_up() {
    let (shop, target) = FakeShop::start().await;
    let report = run(options(target), Arc::default(), CancellationToken::new()).await;
    assert_eq!(report.all.count + report.not_sent, 200);
    assert!(report.errors.is_empty(), "{report:?}");
    for kind in Kind::ALL {
        assert!(report.kinds.contains_key(kind.name()), "no {kind}");
    }
    let seen = shop.seen.lock().unwrap();
    let keys: Vec<_> = seen
        .iter()
        .filter(|(line, ..)| line == "POST /orders")
        .map(|(_, headers, _)| headers["idempotency-key"].clone())
        .collect();
    let fresh: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(keys.len(), fresh.len(), "a key was used twice");
    assert!(
        seen.iter()
            .all(|(_, h, _)| h["baggage"] == "synthetic=true")
    );
}

#[tokio::test]
async fn errors_are_counted_by_status_and_reason() {
    let (shop, target) = FakeShop::start().await;
    shop.broken.store(true, Ordering::Relaxed);
    let report = run(options(target), Arc::default(), CancellationToken::new()).await;
    assert!(report.all.success.abs() < f64::EPSILON);
    assert_eq!(report.errors["503 deadline"], report.all.count);
}

#[tokio::test]
async fn a_shop_that_is_down_does_not_end_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let target = target.parse().unwrap();
    let report = run(options(target), Arc::default(), CancellationToken::new()).await;
    assert_eq!(report.errors["connection refused"], report.all.count);
    assert!(report.all.count > 0);
}

#[tokio::test]
async fn arrivals_beyond_the_bound_are_counted_and_not_queued() {
    // Accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let mut options = options(target.parse().unwrap());
    options.max_in_flight = 3;
    options.timeout = Duration::from_secs(1);
    let report = run(options, Arc::default(), CancellationToken::new()).await;
    assert_eq!(report.all.count, 3);
    assert_eq!(report.not_sent, 197);
    assert_eq!(report.errors["timeout"], 3);
    let slowest = report.all.latency.max_ms;
    assert!((1000.0..3000.0).contains(&slowest), "{slowest} ms");
}

#[tokio::test]
async fn a_stopped_run_reports_what_was_sent() {
    let (_shop, target) = FakeShop::start().await;
    let mut options = options(target);
    options.duration = None;
    let (stats, shutdown) = (Arc::<Stats>::default(), CancellationToken::new());
    let running = run(options, Arc::clone(&stats), shutdown.clone());
    let stop = async {
        while stats.live().done < 10 {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    let (report, ()) = tokio::join!(running, stop);
    assert!(report.all.count >= 10);
}
