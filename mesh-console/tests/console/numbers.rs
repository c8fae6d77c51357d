//! Numbers of the overview, from a metric page that a real server serves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, routing::get};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{start, until};

/// A sidecar's metric page that counts twenty requests each time it is read.
async fn page() -> std::net::SocketAddr {
    serve(text).await
}

/// The same, with as many failed requests beside them.
async fn failing_page() -> std::net::SocketAddr {
    let failed = |done| {
        let failed = "mesh_requests_total{direction=\"outbound\",source=\"front\",destination=\"back\",response_code=\"503\"}";
        format!("{}{failed} {done}\n", text(done))
    };
    serve(failed).await
}

async fn serve(text: fn(u64) -> String) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let router = Router::new().route(
        "/metrics",
        get(move || {
            let done = count.fetch_add(20, Ordering::Relaxed);
            std::future::ready(text(done))
        }),
    );
    mesh_telemetry::task::spawn("fake_metrics", async move {
        axum::serve(listener, router).await.unwrap();
    });
    addr
}

fn text(done: u64) -> String {
    let edge = "source=\"front\",destination=\"back\"";
    let half = done / 2;
    format!(
        "# TYPE mesh_requests_total counter
mesh_requests_total{{direction=\"outbound\",{edge},route=\"back\",method=\"GET\",response_code=\"200\",response_flags=\"\"}} {done}
mesh_attempts_total{{{edge},response_code=\"200\"}} {done}
mesh_attempts_total{{{edge},response_code=\"503\"}} {half}
mesh_faults_injected_total{{rule=\"waiting\",fault=\"abort\",{edge}}} {half}
mesh_request_duration_seconds_bucket{{direction=\"outbound\",{edge},response_class=\"2xx\",le=\"0.01\"}} {done}
mesh_request_duration_seconds_bucket{{direction=\"outbound\",{edge},response_class=\"2xx\",le=\"+Inf\"}} {done}
"
    )
}

#[tokio::test]
async fn the_overview_shows_what_the_sidecars_count() {
    let console = start().await;
    let metrics = page().await;
    let mut lines = console.subscribe("front-1", metrics).await;
    lines.snapshot().await;
    let edge = async |key: &str| {
        let (_, overview) = console.get("/api/mesh/overview").await;
        let edges = overview["edges"].as_array().unwrap().clone();
        let edge = edges.into_iter().find(|edge| edge["source"] == "front");
        edge.unwrap()[key].clone()
    };
    until("a rate", async || {
        edge("attempts_per_second").await.as_f64() > Some(0.0)
    })
    .await;
    let requests = edge("requests").await;
    assert_eq!(requests["success"], 1.0);
    assert_eq!(requests["p50_ms"], 5.0);
    let success = edge("attempt_success").await.as_f64().unwrap();
    assert!((success - 2.0 / 3.0).abs() < 1e-6, "{success}");
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert!(chaos["rules"][0]["injected"].as_u64().unwrap() >= 10);
    console.stop().await;
}

#[tokio::test]
async fn a_guard_turns_its_rule_off_when_too_few_requests_succeed() {
    let console = start().await;
    let failing = failing_page().await;
    let mut lines = console.subscribe("front-1", failing).await;
    lines.snapshot().await;
    let rule = |id: &str, floor: u32| {
        json!({ "id": id, "where": "front -> back", "abort": 503, "percent": 50,
            "guard": { "watch": "front -> back", "min_success": floor, "min_requests": 10 } })
    };
    console.post("/api/mesh/chaos", rule("patient", 20)).await;
    console.post("/api/mesh/chaos", rule("guarded", 95)).await;
    let on = async |index: usize| {
        let (_, chaos) = console.get("/api/mesh/chaos").await;
        chaos["rules"][index]["rule"]["enabled"] == true
    };
    until("the guard", async || !on(2).await).await;
    assert!(on(1).await, "half of the requests is more than a fifth");
    let (_, activity) = console.get("/api/mesh/activity").await;
    assert_eq!(
        activity[0]["text"],
        "`guarded` turned off by its guard: success of front -> back fell to 50 % (floor 95 %)"
    );
    console.stop().await;
}

#[tokio::test]
async fn history_is_of_edges_that_there_are() {
    let console = start().await;
    let (status, edge) = console
        .get("/api/mesh/edge?source=front&destination=back")
        .await;
    assert_eq!((status, &edge["samples"]), (StatusCode::OK, &json!([])));
    let (status, _) = console
        .get("/api/mesh/edge?source=external&destination=front")
        .await;
    assert_eq!(status, StatusCode::OK);
    let (status, error) = console
        .get("/api/mesh/edge?source=back&destination=front")
        .await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::NOT_FOUND, &json!("not_found"))
    );
    let (status, _) = console.get("/api/mesh/edge?source=back").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    console.stop().await;
}

#[tokio::test]
async fn a_mesh_without_traffic_has_all_its_parts() {
    let console = start().await;
    let (_, overview) = console.get("/api/mesh/overview").await;
    assert_eq!(
        overview["services"][0]["name"], "front",
        "edges of the mesh come first"
    );
    assert_eq!(
        overview["services"][1]["instances"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let edges = overview["edges"].as_array().unwrap();
    let pairs: Vec<_> = edges
        .iter()
        .map(|edge| (&edge["source"], &edge["destination"]))
        .collect();
    assert_eq!(
        pairs,
        [
            (&json!("external"), &json!("front")),
            (&json!("front"), &json!("back"))
        ]
    );
    assert_eq!(edges[1]["requests"]["success"], json!(null));
    assert!(
        overview["shop_url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    console.stop().await;
}
