//! Requests that two parsers could read differently.

use super::{connect, orders, raw, until};
use crate::support::App;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: payments\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn framing_that_can_be_read_in_two_ways_is_refused_and_never_forwarded() {
    let app = App::fine().await;
    let proxy = orders(&app);
    for (head, body) in [
        (
            "content-length: 5\r\ntransfer-encoding: chunked",
            "0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "0\r\n\r\n",
        ),
        ("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ("transfer-encoding: gzip, chunked", "0\r\n\r\n"),
        ("transfer-encoding: xchunked", "0\r\n\r\n"),
        ("transfer-encoding: \x0bchunked", "0\r\n\r\n"),
        ("transfer-encoding : chunked", "0\r\n\r\n"),
        ("content-length: 1\r\ncontent-length: 2", "x"),
        ("content-length: 1\r\ncontent-length: 1", "x"),
        ("content-length: 1, 1", "x"),
        ("content-length: +1", "x"),
        ("content-length: -1", "x"),
        ("content-length: 0x1", "x"),
        ("content-length: 1\x0b", "x"),
        ("content-length : 1", "x"),
        ("content-length: 99999999999999999999", "x"),
        ("x: a\r\n folded", ""),
        ("x: a\nb: c", ""),
        ("x: a\rb: c", ""),
        ("x: a\0b", ""),
        ("no colon", ""),
        (": no name", ""),
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: payments\r\n{head}\r\n\r\n{body}{SMUGGLED}");
        let answer = raw(&proxy, text).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(
            answer.matches("connection: close").count(),
            1,
            "{head:?}: {answer}"
        );
        assert!(!answer.contains("HTTP/1.1 200"), "{head:?}: {answer}");
    }
    for text in [
        "POST / HTTP/1.0\r\nhost: payments\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nhost: payments\n\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: payments\r\n\r\n",
        "GET / HTTP/1.1 \r\nhost: payments\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: payments\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: payments\r\n\r\n",
    ] {
        let answer = raw(&proxy, text).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{text:?}: {answer}");
    }
    assert_eq!(app.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn chunks_that_are_not_exactly_what_they_say_never_become_a_request() {
    let app = App::fine().await;
    let proxy = orders(&app);
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: y\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nhost: payments\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = raw(&proxy, format!("{head}{body}{SMUGGLED}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400"),
            "at once {body:?}: {answer}"
        );
        // In pieces, the head has been forwarded when the body turns out to be bad.
        let mut stream = connect(&proxy, head).await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let written = tokio::io::AsyncWriteExt::write_all(&mut stream, body.as_bytes()).await;
        assert!(written.is_ok());
        let answer = super::rest(&mut stream).await;
        assert!(!answer.contains("200 OK"), "in pieces {body:?}: {answer}");
    }
    let seen = app.seen();
    assert!(seen.iter().all(|one| one.uri != "/smuggled"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_malformed_request_is_answered_all_the_same() {
    let app = App::fine().await;
    let good = "GET /good HTTP/1.1\r\nhost: payments\r\n\r\n";
    let bad = "GET /bad HTTP/1.1\r\nhost: payments\r\nx: a\n\r\n";
    let answer = raw(&orders(&app), format!("{good}{good}{bad}{good}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    assert!(answer.contains("malformed_request"), "{answer}");
    assert_eq!(app.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn sound_messages_in_small_pieces_pass() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let text = "POST /a HTTP/1.1\r\nhost: payments\r\ntransfer-encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n";
    let mut stream = connect(&proxy, "").await;
    for piece in text.as_bytes().chunks(3) {
        tokio::io::AsyncWriteExt::write_all(&mut stream, piece)
            .await
            .unwrap();
        tokio::task::yield_now().await;
    }
    until(&mut stream, "ok").await;
    // The connection goes on, also after a rest without buffers.
    for pause in [0, 1, 10] {
        tokio::time::sleep(std::time::Duration::from_secs(pause)).await;
        tokio::io::AsyncWriteExt::write_all(
            &mut stream,
            b"GET /b HTTP/1.1\r\nhost: payments\r\n\r\n",
        )
        .await
        .unwrap();
        until(&mut stream, "ok").await;
    }
    assert_eq!(app.seen()[0].body, "hello world");
    assert_eq!(app.count(), 4);
}
