//! Bodies of requests that stop, that outlive their answer, and that grow too large.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    peers::{Http2, http2},
    support::{AnyBody, App, Proxy, by_hand, full, policy, send, within},
};

fn orders(cluster: &str, route: &str, app: std::net::SocketAddr) -> Proxy {
    let yaml = format!(
        "
clusters: {{ payments: {{ endpoints: [$app], {cluster} }} }}
routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 10m, {route} }}]
"
    );
    Proxy::outbound(policy(&yaml, &[("app", app)]))
}

fn upload(body: AnyBody) -> Request<AnyBody> {
    let request = Request::put("http://payments/").header("host", "payments");
    request.body(body).unwrap()
}

fn piece() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"piece"))
}

/// Reads each upload to its end, or its break, and tells that; answers then or at once.
async fn reader(answers_at_once: bool) -> (Http2, mpsc::Receiver<bool>) {
    let (ended, ends) = mpsc::channel(4);
    let app = Http2::serve(100, move |request: Request<Incoming>| {
        let ended = ended.clone();
        let reading = mesh_telemetry::task::spawn("reader", async move {
            let whole = request.into_body().collect().await.is_ok();
            ended.send(whole).await.unwrap();
        });
        async move {
            if !answers_at_once {
                reading.await.unwrap();
            }
            Response::new(full("read"))
        }
    })
    .await;
    (app, ends)
}

/// Sends a piece, and then nothing.
async fn fall_silent(proxy: &Proxy) {
    let (sender, body) = by_hand();
    sender.send(Ok(piece())).await.unwrap();
    let begin = Instant::now();
    let answer = within(send(proxy.out(), upload(body))).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::REQUEST_TIMEOUT, "idle_timeout")
    );
    let (least, most) = (Duration::from_secs(5), Duration::from_secs(20));
    let took = begin.elapsed();
    assert!(took >= least && took < most, "{took:?}");
    assert_eq!(proxy.votes("payments").await, (0, 0), "nobody is to blame");
    let record = &proxy.records(1).await[0];
    assert!(record.contains("mesh.reason=idle_timeout"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_falls_silent_within_its_upload_is_told_so() {
    let old = App::fine().await;
    fall_silent(&orders("", "idle_timeout: 5s", old.address)).await;
    let repeatable = "idle_timeout: 5s, retry: {}, hedge: { after: 1m }";
    fall_silent(&orders("", repeatable, old.address)).await;
    let (new, mut ends) = reader(false).await;
    let proxy = orders("protocol: http2", "idle_timeout: 5s", new.address);
    fall_silent(&proxy).await;
    assert_eq!(within(ends.recv()).await, Some(false), "the upload broke");
}

#[tokio::test(start_paused = true)]
async fn an_upload_over_http2_that_outlives_its_answer_has_an_end() {
    let (app, mut ends) = reader(true).await;
    let proxy = orders("protocol: http2", "", app.address);
    let (sender, body) = by_hand();
    sender.send(Ok(piece())).await.unwrap();
    let mut caller = http2(proxy.out()).await;
    let answer = within(caller.send_request(upload(body))).await.unwrap();
    let read = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(read.to_bytes(), "read");
    let begin = Instant::now();
    while sender.send(Ok(piece())).await.is_ok() && begin.elapsed() < Duration::from_mins(5) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (least, most) = (Duration::from_secs(5), Duration::from_mins(1));
    let took = begin.elapsed();
    assert!(took > least && took < most, "{took:?}");
    assert_eq!(within(ends.recv()).await, Some(false));
}

#[tokio::test]
async fn a_body_that_grows_too_large_on_its_way_to_http2_is_cut_and_named() {
    let (app, mut ends) = reader(false).await;
    let proxy = orders("protocol: http2", "max_body: 12B, retry: {}", app.address);
    let (sender, body) = by_hand();
    let sending = mesh_telemetry::task::spawn("sender", async move {
        while sender.send(Ok(piece())).await.is_ok() {}
    });
    let answer = within(send(proxy.out(), upload(body))).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
    );
    assert_eq!(within(ends.recv()).await, Some(false));
    within(sending).await.unwrap();
    assert_eq!(proxy.votes("payments").await, (0, 0), "nobody is to blame");
    let record = &proxy.records(1).await[0];
    assert!(record.contains("mesh.reason=body_too_large"), "{record}");
    assert!(record.contains("mesh.attempts=1"), "{record}");
}
