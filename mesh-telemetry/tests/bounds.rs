//! No label takes a value from a request, at a service either.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

use std::collections::BTreeSet;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response},
    routing::any,
};
use http_body_util::BodyExt as _;
use mesh_telemetry::{
    Component, Identity, Options, install_service,
    service::{client_call, db, server_layer},
};
use tower::ServiceExt as _;

const ODD: u64 = 10_000;

/// Calls a peer and the database with what the caller made up.
async fn serve(request: Request<Body>) -> &'static str {
    let call = Request::builder()
        .method(request.method())
        .uri(request.uri())
        .header("user-agent", "kit")
        .body(Body::empty())
        .unwrap();
    let answer = client_call("users", call, async |_| {
        Ok::<_, std::io::Error>(Response::new(Body::empty()))
    });
    answer.await.unwrap();
    let stored = async { Ok::<_, std::io::Error>(()) };
    db("INSERT", "orders", "INSERT INTO orders VALUES (?)", stored)
        .await
        .unwrap();
    "served"
}

fn odd(number: u64) -> Request<Body> {
    let method = match number % 4 {
        0 => Method::GET,
        1 => Method::DELETE,
        _ => Method::from_bytes(format!("BREW-{number}").as_bytes()).unwrap(),
    };
    let path = match number / 4 % 3 {
        0 => format!("/orders/{number}?q={number}"),
        1 => format!("/{number}/%2e%2e/x"),
        _ => format!("//orders;{number}"),
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("shop-{number}.example"))
        .header("baggage", format!("k{number}=v,mesh.chaos=r{number}"))
        .header(
            "traceparent",
            format!("00-{:032x}-{:016x}-01", number + 1, number + 1),
        )
        .header("user-agent", format!("browser/{number}"))
        .header("x-mesh-source", format!("service-{number}"))
        .body(Body::empty())
        .unwrap()
}

/// Names and labels of all that the page shows.
fn series(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.rsplit_once(' '));
    names.map(|(series, _)| series.to_owned()).collect()
}

#[tokio::test]
async fn ten_thousand_odd_requests_leave_no_series_behind() {
    let telemetry = install_service(Options {
        identity: Identity {
            service: "orders".to_owned(),
            instance: "orders-1".to_owned(),
            component: Component::Service,
        },
        otlp: None,
        sample_ratio: 1.0,
    })
    .unwrap();
    let router = Router::new()
        .route("/orders/{id}", any(serve))
        .layer(server_layer());
    let mut before = BTreeSet::new();
    for number in 0..ODD {
        let answer = router.clone().oneshot(odd(number)).await.unwrap();
        answer.into_body().collect().await.unwrap();
        if number == 100 {
            before = series(&telemetry.render());
        }
    }
    let page = telemetry.render();
    assert_eq!(before, series(&page));
    assert!(before.len() < 500, "{} series", before.len());
    let served: u64 = page
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    assert_eq!(served, ODD);
    telemetry.shutdown().await;
}
