//! HTTP/2, frame by frame.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{OUT, orders};
use crate::support::{AnyBody, App, Proxy, full, policy, serve};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field as a literal that enters no table.
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![0];
    for part in [name.as_bytes(), value] {
        field.push(u8::try_from(part.len()).ok().filter(|n| *n < 127).unwrap());
        field.extend_from_slice(part);
    }
    field
}

fn head(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let pseudo: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"payments"),
        (":path", b"/"),
    ];
    let given = |name: &str| fields.iter().any(|(other, _)| *other == name);
    let missing = pseudo.iter().filter(|(name, _)| !given(name));
    missing
        .chain(fields)
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// A connection whose settings are out.
async fn begin(proxy: &Proxy, settings: &[u8]) -> TcpStream {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, settings));
    super::connect(proxy, bytes).await
}

/// Frames until one of this kind, or until the sidecar closes.
async fn until(stream: &mut TcpStream, kind: u8) -> Option<(u32, Vec<u8>)> {
    let wanted = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.ok()?;
            if head[3] == kind {
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                return Some((stream, payload));
            }
        }
    };
    timeout(Duration::from_mins(5), wanted)
        .await
        .expect("nothing happens")
}

/// Writes `bytes` until the sidecar has had enough.
async fn flood(mut stream: TcpStream, mut next: impl FnMut(u32) -> Vec<u8>) {
    let (mut read, mut write) = stream.split();
    let listen = async {
        let mut space = [0; 4096];
        while let Ok(1..) = read.read(&mut space).await {}
    };
    let speak = async {
        for number in 0..200_000 {
            if write.write_all(&next(number)).await.is_err() {
                return;
            }
        }
        panic!("the sidecar bears it");
    };
    tokio::select! {
        () = listen => {}
        () = speak => {}
    }
}

async fn client(proxy: &Proxy) -> http2::SendRequest<AnyBody> {
    let stream = TcpStream::connect(proxy.out()).await.unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, TokioIo::new(stream))
        .await
        .unwrap();
    mesh_telemetry::task::spawn("client", connection);
    sender
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port_and_says_nothing_about_connections() {
    let app = App::answering(|_, _| {
        let answer = http::Response::builder()
            .header("connection", "x-secret")
            .header("x-secret", "1");
        answer.body(full("ok")).unwrap()
    })
    .await;
    let proxy = orders(&app);
    let mut client = client(&proxy).await;
    let request = Request::get("http://payments/pay?x=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let answer = client
        .send_request(request.body(full("")).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    for name in ["connection", "x-secret", "transfer-encoding", "keep-alive"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    let seen = &app.seen()[0];
    assert_eq!(seen.headers["host"], "payments");
    assert_eq!(seen.headers["cookie"], "a=1; b=2");
    assert_eq!(seen.headers.get_all("cookie").iter().count(), 1);
}

#[tokio::test]
async fn a_drain_says_goaway_and_finishes_what_is_under_way() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let address = serve(move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            http::Response::new(full("done"))
        }
    })
    .await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", address)]));
    let mut stream = begin(&proxy, b"").await;
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&[])))
        .await
        .unwrap();
    until(&mut stream, SETTINGS).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let drained = mesh_telemetry::task::spawn("drain", proxy.sidecar.drain());
    assert!(until(&mut stream, GOAWAY).await.is_some());
    go.send(true).unwrap();
    // The ping of the graceful end is answered by nobody here: the data come all the same.
    assert_eq!(until(&mut stream, DATA).await.unwrap().1, b"done");
    drop(stream);
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn fields_that_would_become_two_in_http1_never_get_through() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let bad: [(&str, &[u8]); 12] = [
        ("x", b"a\r\nevil: 1"),
        ("x", b"a\nevil: 1"),
        ("x", b"a\0b"),
        ("x\r\nevil", b"1"),
        ("X-Upper", b"1"),
        ("x y", b"1"),
        (":path", b"/ HTTP/1.1\r\nevil: 1"),
        (":method", b"GET / HTTP/1.1\r\nevil: 1\r\n"),
        (":authority", b"payments\r\nevil: 1"),
        ("connection", b"close"),
        ("transfer-encoding", b"chunked"),
        ("content-length", b"+5"),
    ];
    for (name, value) in bad {
        let mut stream = begin(&proxy, b"").await;
        let head = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            &head(&[(name, value)]),
        );
        stream.write_all(&head).await.unwrap();
        // Reset, or refused, or closed; nothing hangs.
        let _ = timeout(Duration::from_secs(20), until(&mut stream, RST_STREAM)).await;
    }
    assert_eq!(app.count(), 0, "{:?}", app.seen());
}

#[tokio::test]
async fn an_authority_against_the_host_is_refused() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let mut client = client(&proxy).await;
    for host in ["users", "payments:81", "pay ments"] {
        let request = Request::get("http://payments/").header("host", host);
        let answer = client
            .send_request(request.body(full("")).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{host}");
    }
    let many = (0..150).fold(Request::get("http://payments/"), |it, n| {
        it.header(format!("x-{n}"), "y")
    });
    let answer = client
        .send_request(many.body(full("")).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 431);
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn floods_end_the_connection() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let get = |n: u32| frame(HEADERS, END_STREAM | END_HEADERS, n * 2 + 1, &head(&[]));
    // Rapid reset: asked and taken back.
    flood(begin(&proxy, b"").await, |n| {
        [
            get(n),
            frame(RST_STREAM, 0, n * 2 + 1, &8_u32.to_be_bytes()),
        ]
        .concat()
    })
    .await;
    // Made reset: asked, and the sidecar made to take it back.
    flood(begin(&proxy, b"").await, |n| {
        [
            get(n),
            frame(WINDOW_UPDATE, 0, n * 2 + 1, &0_u32.to_be_bytes()),
        ]
        .concat()
    })
    .await;
    // A head without end.
    flood(begin(&proxy, b"").await, |n| match n {
        0 => frame(HEADERS, 0, 1, &head(&[])),
        _ => frame(CONTINUATION, 0, 1, &field("x", b"y")),
    })
    .await;
    // A body of nothing.
    flood(begin(&proxy, b"").await, |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &head(&[(":method", b"POST")])),
        _ => frame(DATA, 0, 1, b""),
    })
    .await;
    // The sidecar is as well as before.
    let answer = crate::support::send(proxy.out(), crate::support::get("payments", "/")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_header_bomb_is_no_request() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let mut stream = begin(&proxy, b"").await;
    let mut block = head(&[]);
    // One field of 2 KiB enters the table, and is named a thousand times: 2 MiB for 3 KiB.
    block.extend([0x40, 1, b'x', 0x7f]);
    block.extend([0x81, 0x0f]); // 127 + 1 + 15 * 128 = 2048
    block.extend(vec![b'y'; 2048]);
    block.extend(vec![0x80 | 0x3e; 1000]);
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block))
        .await
        .unwrap();
    let _ = timeout(Duration::from_secs(5), until(&mut stream, HEADERS)).await;
    assert_eq!(app.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_never_opens_holds_nothing_for_ever() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut stream = begin(&proxy, &no_window).await;
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&[])))
        .await
        .unwrap();
    let begin = tokio::time::Instant::now();
    let (reset, _) = until(&mut stream, RST_STREAM)
        .await
        .expect("the stream alone ends");
    assert_eq!(reset, 1);
    assert!(
        begin.elapsed() >= Duration::from_secs(29),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(proxy.records(1).await.len(), 1, "its record is closed");
}

#[tokio::test(start_paused = true)]
async fn a_head_in_slow_pieces_ends_the_connection() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let mut stream = begin(&proxy, b"").await;
    stream
        .write_all(&frame(HEADERS, 0, 1, &head(&[])))
        .await
        .unwrap();
    let begin = tokio::time::Instant::now();
    assert!(until(&mut stream, RST_STREAM).await.is_none());
    assert!(
        begin.elapsed() >= Duration::from_secs(29),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        begin.elapsed() < Duration::from_secs(40),
        "{:?}",
        begin.elapsed()
    );
}
