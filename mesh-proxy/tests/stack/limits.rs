//! What is over a limit is refused at once, and says when to come back.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::Notify;

use crate::support::{AnyBody, App, Proxy, get, open, policy, post, send, serve, within};

fn inbound(app: std::net::SocketAddr, limits: &str) -> Proxy {
    Proxy::inbound(app, policy(&format!("inbound: {{ {limits} }}"), &[]))
}

fn from(caller: &str) -> Request<AnyBody> {
    let mut request = get("payments", "/");
    let caller = caller.parse().unwrap();
    request.headers_mut().insert("x-mesh-source", caller);
    request
}

/// A body that comes in pieces and does not say how long it is.
fn pieces(sizes: &'static [usize]) -> AnyBody {
    let frames = sizes
        .iter()
        .map(|size| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![7; *size]))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn each_caller_has_tokens_of_its_own_and_strangers_share() {
    let app = App::fine().await;
    let limits = "callers: [orders, gateway], rate_limit: { per_second: 1, per: caller }";
    let proxy = inbound(app.address, limits);
    for (caller, wanted) in [
        ("orders", 200),
        ("orders", 429),
        ("gateway", 200),
        ("nobody", 200),
        ("somebody", 429),
    ] {
        let answer = send(proxy.inn(), from(caller)).await;
        assert_eq!(answer.status, wanted, "{caller}");
        if wanted == 429 {
            assert_eq!(answer.reason(), "rate_limited");
            assert_eq!(answer.headers["retry-after"], "1");
        }
    }
}

/// An inbound side with room for one, whose application is busy with one request.
async fn busy(limits: &str) -> Proxy {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let address = serve(move |_| {
        told.notify_one();
        std::future::pending()
    })
    .await;
    let proxy = inbound(address, limits);
    let first = open(proxy.inn(), get("payments", "/"));
    mesh_telemetry::task::spawn("held", first);
    within(arrived.notified()).await;
    proxy
}

#[tokio::test]
async fn a_request_over_a_cap_is_told_why_and_when_to_come_back() {
    for (limits, reason) in [
        ("max_in_flight: 1", "overload"),
        ("adaptive: { min: 1, max: 1 }", "adaptive_limit"),
    ] {
        let proxy = busy(limits).await;
        let answer = within(send(proxy.inn(), get("payments", "/"))).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.reason(), reason);
        assert_eq!(answer.headers["retry-after"], "1");
        let record = &proxy.records(1).await[0];
        assert!(
            record.contains(&format!("mesh.reason={reason}")),
            "{record}"
        );
    }
}

#[tokio::test]
async fn a_body_whose_length_is_too_large_is_refused_unread() {
    let app = App::fine().await;
    let proxy = inbound(app.address, "max_body: 1KiB");
    let answer = send(proxy.inn(), post("payments", "/", vec![7; 1025])).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!((answer.reason(), app.count()), ("body_too_large", 0));
    let fits = send(proxy.inn(), post("payments", "/", vec![7; 1024])).await;
    assert_eq!(fits.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_and_named() {
    let app = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments, max_body: 1KiB, retry: { any_method: true } }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    let request = |sizes| {
        let request = Request::post("/").header("host", "payments");
        request.body(pieces(sizes)).unwrap()
    };
    let answer = send(proxy.out(), request(&[1000, 25])).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.reason(), "body_too_large");
    let answer = send(proxy.out(), request(&[1000, 24])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(proxy.votes("payments").await, (1, 0), "nobody is to blame");
    let seen = app.seen();
    assert_eq!(seen.last().unwrap().body.len(), 1024);
    let record = &proxy.records(2).await[0];
    assert!(record.contains("mesh.reason=body_too_large"), "{record}");
}
