//! A service's telemetry as the outside sees it. One test, because the tracing
//! subscriber belongs to the process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

#[path = "support/openmetrics.rs"]
mod openmetrics;
#[path = "support/promtool.rs"]
mod promtool;
#[path = "support/receiver.rs"]
mod receiver;

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use mesh_telemetry::{
    Component, Identity, Options, Readiness, Telemetry, install_service,
    service::{
        ShopEvent, client_call, current_traceparent, db, emit, process, publish, relay,
        server_layer,
    },
};
use receiver::{Arrived, named};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

type Seen = Arc<Mutex<Option<HeaderMap>>>;

fn install(otlp: &str) -> Telemetry {
    install_service(Options {
        identity: Identity {
            service: "payments".to_owned(),
            instance: "payments-2".to_owned(),
            component: Component::Service,
        },
        otlp: Some(otlp.to_owned()),
        sample_ratio: 1.0,
    })
    .unwrap()
}

async fn charge(seen: Seen) -> StatusCode {
    let query = "INSERT INTO payments (id) VALUES (?)";
    let stored = db("INSERT", "payments", query, async {
        Ok::<_, std::fmt::Error>(())
    })
    .await;
    assert!(stored.is_ok());
    tracing::error!("logged, but the span's status is decided by rule");
    let message = publish("payment.charged", "m-1", async { current_traceparent() }).await;
    process("payment.charged", "m-1", &message.unwrap(), async {}).await;
    let call = Request::get("http://127.0.0.1:14152/users/7?name=x")
        .body(Body::empty())
        .unwrap();
    let answer = client_call("users", call, |request| async move {
        *seen.lock().unwrap() = Some(request.headers().clone());
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, std::io::Error>(response)
    });
    assert_eq!(answer.await.unwrap().status(), 404);
    StatusCode::CREATED
}

fn router(seen: &Seen) -> Router {
    let seen = Arc::clone(seen);
    Router::new()
        .route("/payments/{id}", post(move || charge(Arc::clone(&seen))))
        .route(
            "/broken",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .layer(server_layer())
}

async fn send(router: &Router, method: &str, path: &str, traceparent: &str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "payments")
        .header("traceparent", traceparent)
        .header("baggage", "user=7")
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

fn check_tree(spans: &[Arrived], sent: &HeaderMap) {
    let server = named(spans, "POST /payments/{id}");
    assert_eq!(server.parent(), "00f067aa0ba902b7");
    assert_eq!(
        (server.scope.as_str(), server.span.kind, server.status()),
        ("shop", 2, 0)
    );
    assert_eq!(
        server.attribute("http.response.status_code").as_deref(),
        Some("201")
    );
    assert_eq!(
        server.attribute("http.route").as_deref(),
        Some("/payments/{id}")
    );
    assert_eq!(
        server.of_resource("service.name").as_deref(),
        Some("payments")
    );
    assert_eq!(
        server.of_resource("mesh.component").as_deref(),
        Some("service")
    );
    assert!(server.attribute("thread.id").is_none() && server.attribute("busy_ns").is_none());

    let insert = named(spans, "INSERT payments");
    assert_eq!((insert.scope.as_str(), insert.span.kind), ("sqlx", 3));
    assert_eq!(insert.parent(), server.id());
    assert_eq!(
        insert.attribute("db.system.name").as_deref(),
        Some("sqlite")
    );

    let call = named(spans, "GET");
    assert_eq!(
        (call.span.kind, call.status(), call.parent()),
        (3, 2, server.id())
    );
    assert_eq!(call.attribute("error.type").as_deref(), Some("404"));
    assert_eq!(call.attribute("server.address").as_deref(), Some("users"));
    let url = "http://127.0.0.1:14152/users/7";
    assert_eq!(call.attribute("url.full").as_deref(), Some(url));
    let expected = format!("00-{}-{}-01", call.trace(), call.id());
    assert_eq!(sent["traceparent"], expected.as_str());
    assert_eq!(sent["baggage"], "user=7");
    assert!(!sent.contains_key("tracestate"));

    let producer = named(spans, "publish payment.charged");
    assert_eq!((producer.span.kind, producer.parent()), (4, server.id()));
    let consumer = named(spans, "process payment.charged");
    assert_eq!((consumer.span.kind, consumer.parent()), (5, producer.id()));
    assert_eq!(consumer.span.links[0].span_id, producer.span.span_id);
}

async fn check_relay(arrived: &mut mpsc::UnboundedReceiver<Arrived>) {
    relay("payment.charged", "m-1", PARENT, 1, async {}).await;
    let first = receiver::take(arrived, 1).await;
    assert_eq!(first[0].parent(), &PARENT[36..52]);
    assert!(first[0].span.links.is_empty());

    relay("payment.charged", "m-1", PARENT, 2, async {}).await;
    let second = receiver::take(arrived, 1).await;
    assert_eq!(second[0].parent(), "");
    assert_ne!(second[0].trace(), &PARENT[3..35]);
    assert_eq!(second[0].span.links[0].trace_id, first[0].span.trace_id);
}

#[tokio::test]
async fn a_service_tells_its_part_of_the_trace() {
    let (otlp, mut arrived) = receiver::start().await;
    let telemetry = install(&otlp);
    let (seen, ready) = (Seen::default(), Readiness::default());
    let router = router(&seen);

    assert_eq!(send(&router, "POST", "/payments/7", PARENT).await, 201);
    let sent = seen.lock().unwrap().take().unwrap();
    check_tree(&receiver::take(&mut arrived, 5).await, &sent);

    // A repeated delivery is a trace of its own, so that a fault draws anew for it.
    check_relay(&mut arrived).await;

    // An unsampled caller gets no spans, and neither do those called for it.
    assert_eq!(send(&router, "POST", "/payments/7", UNSAMPLED).await, 201);
    let sent = seen.lock().unwrap().take().unwrap();
    let sent = sent["traceparent"].to_str().unwrap();
    assert!(
        sent.starts_with(&UNSAMPLED[..36]) && sent.ends_with("-00"),
        "{sent}"
    );

    assert_eq!(send(&router, "GET", "/broken", PARENT).await, 500);
    let broken = receiver::take(&mut arrived, 1).await;
    assert_eq!(
        (broken[0].span.name.as_str(), broken[0].status()),
        ("GET /broken", 2)
    );
    assert_eq!(broken[0].attribute("error.type").as_deref(), Some("500"));

    check_page(&telemetry, &ready).await;
    check_exemplars(&telemetry).await;
    telemetry.shutdown().await;
    assert!(
        arrived.try_recv().is_err(),
        "nothing of the unsampled request"
    );
}

async fn check_page(telemetry: &Telemetry, ready: &Readiness) {
    emit(ShopEvent::OrderFinished {
        status: "confirmed",
    });
    emit(ShopEvent::PaymentFinished { result: "charged" });
    emit(ShopEvent::OutboxPending(2));
    emit(ShopEvent::Stock {
        product: "1",
        units: 40,
    });
    let pages = telemetry.metrics_router(ready.clone());
    let get = |path: &str| {
        pages
            .clone()
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
    };
    assert_eq!(get("/health/live").await.unwrap().status(), 200);
    assert_eq!(get("/health/ready").await.unwrap().status(), 503);
    ready.set_ready();
    assert_eq!(get("/health/ready").await.unwrap().status(), 200);
    let response = get("/metrics").await.unwrap();
    let kind = &response.headers()["content-type"];
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let page = response.into_body().collect().await.unwrap().to_bytes();
    let page = std::str::from_utf8(&page).unwrap();
    promtool::lint(page);
    let there = promtool::hold_against_catalog(page);
    for name in [
        "http_server_request_duration_seconds",
        "http_client_request_duration_seconds",
        "db_client_operation_duration_seconds",
        "shop_orders_total",
        "shop_payments_total",
        "shop_outbox_pending",
        "shop_stock_units",
        "mesh_build_info",
        "mesh_telemetry_spans_total",
        "process_cpu_seconds_total", // in whole seconds: it may still be 0
        "process_virtual_memory_max_bytes", // 0: as much as there is
    ] {
        assert!(there.contains(name), "no {name} in\n{page}");
    }
    for name in [
        "process_open_fds",
        "process_max_fds",
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ] {
        let value = |line: &str| line.strip_prefix(name)?.trim().parse::<f64>().ok();
        let value = page.lines().find_map(value);
        assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
    }
    let server = "http_server_request_duration_seconds_count{http_request_method=\"POST\",\
                  http_route=\"/payments/{id}\",http_response_status_code=\"201\",error_type=\"\"} 2";
    assert!(page.contains(server), "{page}");
}

/// Every duration of the sampled request leads to its trace, in the format that was
/// asked for and in no other.
async fn check_exemplars(telemetry: &Telemetry) {
    let pages = telemetry.metrics_router(Readiness::default());
    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5";
    let get = || {
        let request = Request::get("/metrics").header("accept", accept);
        pages.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let response = get().await.unwrap();
    let kind = &response.headers()["content-type"];
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(kind, expected);
    let samples = [
        "http_server_request_duration_seconds_bucket",
        "http_client_request_duration_seconds_bucket",
        "db_client_operation_duration_seconds_bucket",
    ];
    for _ in 0..200 {
        let page = get().await.unwrap().into_body().collect().await.unwrap();
        let page = page.to_bytes();
        let found = openmetrics::read(std::str::from_utf8(&page).unwrap());
        let leads = |sample: &&str| {
            let of =
                |it: &openmetrics::Exemplar| it.sample == *sample && it.trace_id == PARENT[3..35];
            found.iter().any(of)
        };
        if samples.iter().all(leads) {
            let ids = found.iter().map(|it| (it.span_id.len(), it.value > 0.0));
            assert!(ids.into_iter().all(|it| it == (16, true)), "{found:?}");
            let served = found.iter().find(|it| it.sample == samples[0]).unwrap();
            assert_eq!(served.labels["http_route"], "/payments/{id}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no exemplars");
}
