//! Peers in their three forms.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use http::{Method, StatusCode, Uri};
use kit::{Call, Error, Json, Peer, PeerAddress, Peers, ServiceArgs};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Tells how it was called.
fn echo() -> Router {
    Router::new().fallback(any(|request: Request| async move {
        let host = request.headers().get("host").map(|h| h.to_str().unwrap());
        let left = request.headers().get(kit::deadline::HEADER);
        let left = left.map(|left| left.to_str().unwrap());
        Json(json!({ "host": host, "uri": request.uri().to_string(), "left": left }))
    }))
}

async fn listening(router: Router) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = kit::service::serve_until(listener, router, shutdown.clone());
    mesh_telemetry::task::spawn("echo", serving);
    (address, shutdown)
}

fn args() -> ServiceArgs {
    ServiceArgs::new(SocketAddr::from(([127, 0, 0, 1], 0)), "unused")
}

fn base(address: SocketAddr) -> Uri {
    format!("http://{address}").parse().unwrap()
}

#[tokio::test]
async fn behind_a_sidecar_a_peer_is_called_by_its_name() {
    let (address, _end) = listening(echo()).await;
    let mut args = args();
    args.outbound = Some(base(address));
    let peer = Peers::from_args(&args).get("payments").unwrap();
    let heard: Value = peer.get("/payments?order_id=7").await.unwrap();
    assert_eq!(
        heard,
        json!({ "host": "payments", "uri": "/payments?order_id=7", "left": null })
    );
}

#[tokio::test]
async fn an_address_of_its_own_wins_over_the_sidecar() {
    let (address, _end) = listening(echo()).await;
    let mut args = args();
    args.outbound = Some("http://127.0.0.1:1".parse().unwrap());
    args.peers = vec![PeerAddress {
        name: "payments".to_owned(),
        base: base(address),
    }];
    let peer = Peers::from_args(&args).get("payments").unwrap();
    let heard: Value = peer.get("/x").await.unwrap();
    assert_eq!(heard["host"], address.to_string());
}

#[tokio::test]
async fn without_any_address_the_error_names_both_ways_out() {
    let error = Peers::from_args(&args()).get("payments").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("--outbound") && text.contains("--peer payments="),
        "{text}"
    );
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut args = args();
    args.outbound = Some(base(address));
    let peer = Peers::from_args(&args).get("payments").unwrap();
    let error = peer.get::<Value>("/x").await.unwrap_err();
    assert_eq!(error.status(), 503);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_times_out() {
    let router = Router::new().route("/x", get(pending::<()>));
    let peer = Peer::in_process("payments", router);
    let error = peer.get::<Value>("/x").await.unwrap_err();
    assert!(matches!(error, Error::PeerTimeout { .. }), "{error}");
    assert_eq!(error.status(), 504);
    assert!(error.to_string().contains("payments"), "{error}");
}

#[tokio::test]
async fn a_sidecars_reason_stands_in_for_a_missing_body() {
    let refuse = || async {
        let reason = [("x-mesh-reason", "circuit_open")];
        (StatusCode::SERVICE_UNAVAILABLE, reason, "").into_response()
    };
    let peer = Peer::in_process("payments", Router::new().route("/x", get(refuse)));
    let error = peer.tell(Call::new(Method::GET, "/x")).await.unwrap_err();
    assert!(error.to_string().contains("circuit_open"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_a_bad_gateway() {
    let peer = Peer::in_process(
        "payments",
        Router::new().route("/x", get(|| async { "hm" })),
    );
    let error = peer.get::<Value>("/x").await.unwrap_err();
    assert_eq!(error.status(), 502);
}

/// A service that takes its time over `/x`, then asks its peer.
fn behind(peer: Peer) -> Peer {
    let ask = move || async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.get::<Value>("/y").await.map(Json)
    };
    let router = Router::new().route("/x", get(ask));
    Peer::in_process("orders", kit::routes::finish(router))
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_what_is_left_of_its_callers_time() {
    let orders = behind(Peer::in_process("payments", echo()));
    for (given, left) in [
        ("2500", json!("1500")),
        ("900", json!("0")),
        ("soon", Value::Null),
    ] {
        let call = Call::new(Method::GET, "/x").header("x-mesh-deadline-ms", given);
        let heard: Value = orders.call(call).await.unwrap();
        let near = heard["left"] == left || heard["left"] == "1499" || heard["left"] == "1498";
        assert!(near, "{given}: {heard}");
    }
}
