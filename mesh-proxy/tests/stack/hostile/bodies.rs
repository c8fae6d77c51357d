//! Bodies that come slowly, too late, or for nobody.

use std::time::Duration;

use http::{Response, StatusCode};
use tokio::{io::AsyncWriteExt as _, time::Instant};

use super::{connect, drip, orders, rest, until};
use crate::support::{App, Proxy, full, policy, serve, text};

#[tokio::test(start_paused = true)]
async fn a_continue_is_sent_when_the_body_is_wanted_and_not_before() {
    let app = App::fine().await;
    let head =
        "POST / HTTP/1.1\r\nhost: payments\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let mut stream = connect(&orders(&app), head).await;
    let first = until(&mut stream, "\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 100 Continue"), "{first}");
    stream.write_all(b"hello").await.unwrap();
    assert!(until(&mut stream, "ok").await.starts_with("HTTP/1.1 200"));
    assert_eq!(app.seen()[0].body, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_refused_upload_is_not_asked_for() {
    let proxy = Proxy::outbound(policy("{}", &[]));
    let head =
        "POST / HTTP/1.1\r\nhost: nobody\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let mut stream = connect(&proxy, head).await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");
}

/// The answer arrives although the upload is not read: the connection is not reset
/// over it.
#[tokio::test]
async fn an_early_answer_arrives_and_the_rest_of_the_body_is_not_a_request() {
    let proxy = Proxy::outbound(policy("{}", &[]));
    let head = "POST / HTTP/1.1\r\nhost: nobody\r\ncontent-length: 100000\r\n\r\n";
    let mut stream = connect(&proxy, head).await;
    let body = "GET /smuggled HTTP/1.1\r\nhost: nobody\r\n\r\n".repeat(3000);
    let _ = stream.write_all(&body.as_bytes()[..90_000]).await;
    let answer = rest(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 1, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_ends_with_the_deadline() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let head = "POST / HTTP/1.1\r\nhost: payments\r\ncontent-length: 500\r\n\r\n";
    let stream = connect(&proxy, head).await;
    let begin = Instant::now();
    let answer = drip(stream, b"x", Duration::from_millis(200)).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let record = &proxy.records(1).await[0];
    assert!(record.contains("UT"), "{record}");
}

/// The application answers at once, and goes on reading: the upload is not for ever.
#[tokio::test(start_paused = true)]
async fn an_upload_that_outlives_its_answer_has_an_end() {
    let address = serve(|request| async move {
        mesh_telemetry::task::spawn("reader", async move {
            let _ = http_body_util::BodyExt::collect(request.into_body()).await;
        });
        Response::new(full("early"))
    })
    .await;
    let proxy = Proxy::outbound(policy(super::OUT, &[("app", address)]));
    let head = "POST / HTTP/1.1\r\nhost: payments\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = connect(&proxy, head).await;
    until(&mut stream, "early").await;
    let begin = Instant::now();
    drip(stream, b"1\r\nx\r\n", Duration::from_millis(500)).await;
    assert!(
        begin.elapsed() < Duration::from_secs(40),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_application_that_answers_early_is_heard() {
    let app = App::answering(|_, _| text(StatusCode::PAYLOAD_TOO_LARGE, "no")).await;
    let mut stream = connect(
        &orders(&app),
        "POST / HTTP/1.1\r\nhost: payments\r\ncontent-length: 3\r\n\r\nabc",
    )
    .await;
    assert!(until(&mut stream, "no").await.starts_with("HTTP/1.1 413"));
}
