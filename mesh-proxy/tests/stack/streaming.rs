//! Bodies pass through as they come, in both directions, with their trailers.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc::channel;

use crate::support::{App, Proxy, by_hand, ended, full, get, open, policy, send, serve, within};

const OUT: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 10s, max_in_flight: 1 }]
";

fn orders(app: std::net::SocketAddr) -> Proxy {
    Proxy::outbound(policy(OUT, &[("app", app)]))
}

/// Sends one chunk, and then no more.
async fn stalling() -> std::net::SocketAddr {
    serve(|_| async {
        let (sender, body) = by_hand();
        mesh_telemetry::task::spawn("frames", async move {
            let _ = sender.send(Ok(Frame::data("one".into()))).await;
            sender.closed().await;
        });
        Response::new(body)
    })
    .await
}

async fn data(body: &mut hyper::body::Incoming) -> Bytes {
    within(body.frame())
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap()
}

#[tokio::test]
async fn the_first_chunk_of_an_answer_arrives_before_the_last_is_sent() {
    let (senders, mut started) = channel(1);
    let app = serve(move |_| {
        let senders = senders.clone();
        async move {
            let (sender, body) = by_hand();
            senders.send(sender).await.unwrap();
            Response::new(body)
        }
    })
    .await;
    let proxy = orders(app);
    let response = open(proxy.out(), get("payments", "/")).await;
    let sender = within(started.recv()).await.unwrap();
    let mut body = response.unwrap().into_body();
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    assert_eq!(data(&mut body).await, "one");
    sender.send(Ok(Frame::data("two".into()))).await.unwrap();
    assert_eq!(data(&mut body).await, "two");
    drop(sender);
    assert!(within(body.frame()).await.is_none());
}

#[tokio::test]
async fn the_first_chunk_of_a_request_arrives_before_the_last_is_sent() {
    let (first, mut arrived) = channel(1);
    let app = serve(move |request| {
        let first = first.clone();
        async move {
            let mut body = request.into_body();
            first.send(data(&mut body).await).await.unwrap();
            let rest = body.collect().await.unwrap().to_bytes();
            Response::new(full(rest))
        }
    })
    .await;
    let proxy = orders(app);
    let (sender, body) = by_hand();
    let request = Request::put("/")
        .header("host", "payments")
        .body(body)
        .unwrap();
    let answer = mesh_telemetry::task::spawn("caller", send(proxy.out(), request));
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    assert_eq!(within(arrived.recv()).await.unwrap(), "one");
    sender.send(Ok(Frame::data("two".into()))).await.unwrap();
    drop(sender);
    assert_eq!(within(answer).await.unwrap().body, "two");
}

#[tokio::test]
async fn trailers_pass_through() {
    let app = serve(|_| async {
        let (sender, body) = by_hand();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        mesh_telemetry::task::spawn("frames", async move {
            let _ = sender.send(Ok(Frame::data("data".into()))).await;
            let _ = sender.send(Ok(Frame::trailers(trailers))).await;
        });
        Response::builder()
            .header("trailer", "x-sum")
            .body(body)
            .unwrap()
    })
    .await;
    let mut request = get("payments", "/");
    request
        .headers_mut()
        .insert("te", "trailers".parse().unwrap());
    let response = within(open(orders(app).out(), request)).await.unwrap();
    let collected = within(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
}

#[tokio::test]
async fn back_pressure_reaches_the_sender() {
    let (sent, mut count) = tokio::sync::watch::channel(0_usize);
    let app = serve(move |_| {
        let sent = sent.clone();
        async move {
            let (sender, body) = by_hand();
            mesh_telemetry::task::spawn("frames", async move {
                let chunk = Bytes::from(vec![0_u8; 64 * 1024]);
                while sender.send(Ok(Frame::data(chunk.clone()))).await.is_ok() {
                    sent.send_modify(|count| *count += 1);
                }
            });
            Response::new(body)
        }
    })
    .await;
    let proxy = orders(app);
    let response = open(proxy.out(), get("payments", "/")).await.unwrap();
    // Until the socket buffers are full and nothing moves any more.
    let mut before = usize::MAX;
    while before != *count.borrow() {
        before = *count.borrow();
        let _ = tokio::time::timeout(Duration::from_millis(500), count.changed()).await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(
        before < 1000,
        "{before} chunks of 64 KiB were taken from the application unread"
    );
    drop(response);
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_is_counted_and_frees_the_slot() {
    let (asked, mut arrived) = channel(1);
    let app = serve(move |_| {
        let asked = asked.clone();
        async move {
            asked.send(()).await.unwrap();
            std::future::pending().await
        }
    })
    .await;
    let proxy = orders(app);
    let leaving = mesh_telemetry::task::spawn("caller", open(proxy.out(), get("payments", "/")));
    within(arrived.recv()).await.unwrap();
    leaving.abort();
    assert!(leaving.await.is_err());
    let record = &within(ended(&proxy)).await;
    assert!(
        record.contains("DC") && record.contains("attempt payments"),
        "{record}"
    );
    assert_eq!(proxy.votes("payments").await, (0, 0), "nobody is blamed");
}

#[tokio::test]
async fn a_caller_who_leaves_within_the_answer_is_counted_and_frees_the_slot() {
    let app = stalling().await;
    let proxy = orders(app);
    let mut response = open(proxy.out(), get("payments", "/")).await.unwrap();
    data(response.body_mut()).await;
    drop(response);
    let record = &within(ended(&proxy)).await;
    assert!(record.contains("DC"), "{record}");
    let fine = App::fine().await;
    proxy
        .sidecar
        .apply(1, policy(OUT, &[("app", fine.address)]))
        .unwrap();
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_cut_at_the_deadline() {
    let app = stalling().await;
    let begin = tokio::time::Instant::now();
    let response = open(orders(app).out(), get("payments", "/")).await.unwrap();
    assert!(within(response.into_body().collect()).await.is_err());
    assert!(
        begin.elapsed() < Duration::from_secs(11),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_reading_is_let_go() {
    let address = serve(|_| async {
        let chunk = Bytes::from(vec![7; 64 * 1024]);
        let endless = futures_util::stream::repeat_with(move || {
            Ok::<_, io::Error>(Frame::data(chunk.clone()))
        });
        Response::new(StreamBody::new(endless).boxed_unsync())
    })
    .await;
    let proxy = Proxy::outbound(policy(
        "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 1s }]
",
        &[("app", address)],
    ));
    let mut caller = tokio::net::TcpStream::connect(proxy.out()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut caller, b"GET / HTTP/1.1\r\nhost: payments\r\n\r\n")
        .await
        .unwrap();
    // Only reading the head, and from then on nothing.
    caller.readable().await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    let record = &proxy.records(1).await[0];
    assert!(record.contains("DC"), "{record}");
}
