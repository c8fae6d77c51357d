//! Upstreams that say too much, too little or nonsense: nobody but their own caller
//! gets to see any of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};

use crate::{
    peers::{Http2, http2, read_head, speaking},
    support::{Proxy, full, get, open, policy, post, send, within},
};

fn orders(settings: &str, route: &str, app: SocketAddr) -> Proxy {
    let route = if route.contains("deadline: ") {
        route.to_owned()
    } else {
        format!("deadline: 10s, {route}")
    };
    let yaml = format!(
        "
clusters: {{ payments: {{ endpoints: [$app], consecutive_failures: 0, {settings} }} }}
routes: [{{ name: payments, match: {{}}, cluster: payments, {route} }}]
"
    );
    Proxy::outbound(policy(&yaml, &[("app", app)]))
}

/// Answers the first request of all with `first`, all others with `ok`; says on how
/// many connections.
async fn answering(first: &'static [u8]) -> SocketAddr {
    let nobody_yet = Arc::new(Semaphore::new(1));
    speaking(move |_, mut stream| {
        let nobody_yet = Arc::clone(&nobody_yet);
        async move {
            while read_head(&mut stream).await.ends_with("\r\n\r\n") {
                let answer: &[u8] = match nobody_yet.try_acquire() {
                    Ok(first_of_all) => {
                        first_of_all.forget();
                        first
                    }
                    Err(_) => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                };
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_comes_after_an_answer_never_reaches_the_next_request() {
    const SMUGGLED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    for first in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 60\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
    ] {
        let bytes = format!("{first}{SMUGGLED}").leak().as_bytes();
        let proxy = orders("", "", answering(bytes).await);
        for number in 0..3 {
            let answer = within(send(proxy.out(), get("payments", "/"))).await;
            assert!(
                answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED,
                "{first} {number}: {answer:?}"
            );
            assert_ne!(answer.body, "smuggled", "{first} {number}");
        }
    }
}

#[tokio::test]
async fn the_body_of_an_answer_to_head_never_reaches_the_next_request() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 46\r\n\r\n\
HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    let proxy = orders("", "", answering(bytes).await);
    let request = http::Request::head("/").header("host", "payments");
    let head = within(send(proxy.out(), request.body(full("")).unwrap())).await;
    assert_eq!(head.status, StatusCode::OK);
    let next = within(send(proxy.out(), get("payments", "/"))).await;
    assert_eq!(next.body, "ok");
}

#[tokio::test]
async fn an_answer_that_came_unasked_is_no_answer() {
    let address = speaking(|number, mut stream| async move {
        if number == 1 {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled")
                .await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        } else {
            while read_head(&mut stream).await.ends_with("\r\n\r\n") {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    let proxy = orders("", "", address);
    assert_eq!(send(proxy.out(), get("payments", "/")).await.body, "ok");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(send(proxy.out(), get("payments", "/")).await.body, "ok");
}

#[tokio::test]
async fn nonsense_is_a_bad_gateway_and_its_connection_is_not_used_again() {
    for nonsense in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    ] {
        let proxy = orders("", "", answering(nonsense).await);
        let shown = String::from_utf8_lossy(nonsense);
        let answer = within(send(proxy.out(), post("payments", "/", ""))).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::BAD_GATEWAY, "upstream_protocol"),
            "{shown}"
        );
        let next = within(send(proxy.out(), post("payments", "/", ""))).await;
        assert_eq!(next.body, "ok", "{shown}");
    }
}

#[tokio::test]
async fn informational_answers_are_dropped_and_the_final_one_is_passed_on() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfinal";
    let proxy = orders("", "", answering(bytes).await);
    let answer = within(send(proxy.out(), get("payments", "/"))).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (StatusCode::OK, &b"final"[..])
    );
    assert!(!answer.headers.contains_key("link"));
}

#[tokio::test]
async fn an_old_upstream_is_answered_for_in_the_callers_version() {
    let address = speaking(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.0 200 OK\r\n\r\nto the end")
            .await
            .unwrap();
    })
    .await;
    let proxy = orders("", "", address);
    for _ in 0..2 {
        let response = open(proxy.out(), get("payments", "/")).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_11);
        let body = within(response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "to the end");
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_its_answer_is_seen_by_the_caller_at_once() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let address = speaking(move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(cut).await.unwrap();
        })
        .await;
        let proxy = orders("", "", address);
        let shown = String::from_utf8_lossy(cut);
        let response = open(proxy.out(), get("payments", "/")).await.unwrap();
        assert!(
            within(response.into_body().collect()).await.is_err(),
            "{shown}"
        );
        let record = &proxy.records(1).await[0];
        assert!(
            record.contains("mesh.reason=body_broke_off") && record.contains("response_flags=UC"),
            "{record}"
        );
        let mut sender = http2(proxy.out()).await;
        let request = http::Request::get("http://payments/")
            .body(full(""))
            .unwrap();
        // To the caller over HTTP/2 it is the same, although the upstream speaks HTTP/1.1.
        let proxy = orders("protocol: http1", "", address);
        drop(sender);
        sender = http2(proxy.out()).await;
        let response = within(sender.send_request(request)).await.unwrap();
        assert!(
            within(response.into_body().collect()).await.is_err(),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_reset_stream_is_seen_by_the_caller_and_its_neighbours_go_on() {
    let app = Http2::serve(
        100,
        |request: http::Request<hyper::body::Incoming>| async move {
            let broken = request.uri().path() == "/broken";
            let half = Ok(Frame::data(Bytes::from_static(b"half")));
            let first = futures_util::stream::iter([half]);
            let second = futures_util::stream::once(async move {
                tokio::time::sleep(Duration::from_millis(20)).await; // the first is under way
                if broken {
                    Err(std::io::Error::other("broken"))
                } else {
                    Ok(Frame::data(Bytes::from_static(b" more")))
                }
            });
            let frames = futures_util::StreamExt::chain(first, second);
            http::Response::new(StreamBody::new(frames).boxed_unsync())
        },
    )
    .await;
    let proxy = orders("protocol: http2", "", app.address);
    let response = open(proxy.out(), get("payments", "/broken")).await.unwrap();
    assert!(within(response.into_body().collect()).await.is_err());
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("mesh.reason=body_broke_off") && record.contains("response_flags=UC"),
        "{record}"
    );
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.body,
        "half more"
    );
    assert_eq!(app.accepted(), 1);
}

#[tokio::test]
async fn a_body_that_the_deadline_cuts_is_recorded_as_what_it_is() {
    let address = speaking(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await
            .unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let proxy = Proxy::outbound(policy(
        "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 100ms }]
",
        &[("app", address)],
    ));
    let response = open(proxy.out(), get("payments", "/")).await.unwrap();
    assert!(within(response.into_body().collect()).await.is_err());
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("mesh.reason=deadline") && record.contains("response_flags=UT"),
        "{record}"
    );
}

/// Speaks HTTP/2 by hand: settings, then `answer` to every request.
async fn framing(answer: fn(h2::server::SendResponse<Bytes>)) -> SocketAddr {
    speaking(move |_, stream: TcpStream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, respond))) = connection.accept().await {
            answer(respond);
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_stream_is_told_from_a_reset_one() {
    let refusing = framing(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    let proxy = orders("protocol: http2", "", refusing);
    let answer = within(send(proxy.out(), post("payments", "/", "x"))).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "refused_stream")
    );
    let resetting = framing(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    let proxy = orders("protocol: http2", "", resetting);
    let answer = within(send(proxy.out(), post("payments", "/", "x"))).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::BAD_GATEWAY, "upstream_reset")
    );
}

#[tokio::test]
async fn a_refused_stream_is_retried_where_the_policy_says_so() {
    let refusals = Arc::new(Semaphore::new(1));
    let address = speaking(move |_, stream| {
        let refusals = Arc::clone(&refusals);
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if let Ok(refusal) = refusals.try_acquire() {
                    refusal.forget();
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    respond
                        .send_response(http::Response::new(()), true)
                        .unwrap();
                }
            }
        }
    })
    .await;
    let proxy = orders(
        "protocol: http2",
        "retry: { attempts: 2, on: [refused-stream] }",
        address,
    );
    assert_eq!(
        within(send(proxy.out(), get("payments", "/"))).await.status,
        StatusCode::OK
    );
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("mesh.attempts=2") && record.contains("refused-stream"),
        "{record}"
    );
}

#[tokio::test]
async fn a_leaving_upstream_is_left_for_a_new_connection() {
    let address = speaking(|_, stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond
            .send_response(http::Response::new(()), true)
            .unwrap();
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    })
    .await;
    let proxy = orders("protocol: http2", "", address);
    for number in 0..5 {
        let answer = within(send(proxy.out(), get("payments", "/"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}: {answer:?}");
    }
}

#[tokio::test]
async fn a_slow_upstream_holds_the_caller_back() {
    for (settings, protocol) in [("", "HTTP/1.1"), ("protocol: http2", "HTTP/2")] {
        let address = if settings.is_empty() {
            speaking(|_, mut stream| async move {
                read_head(&mut stream).await;
                std::future::pending::<()>().await;
                drop(stream);
            })
            .await
        } else {
            speaking(|_, stream| async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut held = Vec::new();
                while let Some(Ok(request)) = connection.accept().await {
                    held.push(request);
                }
            })
            .await
        };
        let proxy = orders(settings, "", address);
        let (told, mut sent) = tokio::sync::watch::channel(0_usize);
        let chunk = Bytes::from(vec![0; 64 * 1024]);
        let endless = futures_util::stream::repeat_with(move || {
            told.send_modify(|count| *count += chunk.len());
            Ok::<_, std::io::Error>(Frame::data(chunk.clone()))
        });
        let request = http::Request::post("/").header("host", "payments");
        let request = request
            .body(StreamBody::new(endless).boxed_unsync())
            .unwrap();
        let caller = mesh_telemetry::task::spawn("caller", open(proxy.out(), request));
        let mut before = usize::MAX;
        while before != *sent.borrow() {
            before = *sent.borrow();
            let _ = tokio::time::timeout(Duration::from_millis(300), sent.changed()).await;
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        }
        assert!(
            before < 64 << 20,
            "{protocol}: {before} bytes were taken from the caller unread"
        );
        caller.abort();
    }
}

/// Says hello in HTTP/2, takes requests and never says anything again.
async fn frozen() -> SocketAddr {
    speaking(|_, mut stream| async move {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut space = [0; 1024];
        while let Ok(1..) = stream.read(&mut space).await {}
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_frozen_peer_of_http2_is_found_although_there_is_no_attempt_timeout() {
    let proxy = orders(
        "protocol: http2, keep_alive: 2s",
        "deadline: 1h",
        frozen().await,
    );
    let begun = tokio::time::Instant::now();
    let answer = within(send(proxy.out(), get("payments", "/"))).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::BAD_GATEWAY, "upstream_reset")
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_annoyed_by_pings_is_left_in_peace() {
    let listening = speaking(|number, stream: TcpStream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let Some(Ok((_, mut respond))) = connection.accept().await else {
            return;
        };
        if number == 1 {
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            let _ = connection.accept().await;
            return;
        }
        // As long as nobody reads here, no ping is answered.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let answer = http::Response::new(());
        respond.send_response(answer, true).unwrap();
        let _ = connection.accept().await;
    })
    .await;
    let settings = "protocol: http2, keep_alive: 2s";
    let proxy = orders(settings, "deadline: 1h", listening);
    let once = within(send(proxy.out(), post("payments", "/", "x"))).await;
    assert!(once.status.is_server_error(), "{once:?}");
    let again = within(send(proxy.out(), post("payments", "/", "x"))).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
}
