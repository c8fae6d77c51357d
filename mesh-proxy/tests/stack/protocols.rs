//! HTTP/1.1 and HTTP/2 on both sides, in any combination.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use mesh_telemetry::task;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Semaphore, mpsc},
};

use crate::{
    peers::{Http2, http2, read_head, speaking},
    support::{AnyBody, App, Proxy, full, get, policy, send, within},
};

fn out(settings: &str) -> String {
    format!(
        "
clusters: {{ payments: {{ endpoints: [$app], consecutive_failures: 0, {settings} }} }}
routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 10s }}]
"
    )
}

fn orders(settings: &str, app: std::net::SocketAddr) -> Proxy {
    Proxy::outbound(policy(&out(settings), &[("app", app)]))
}

/// Says what it was asked, and in which version.
async fn witness(request: Request<Incoming>) -> Response<AnyBody> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let sum = body.trailers().and_then(|it| it.get("x-sum").cloned());
    let seen = format!(
        "{:?} {} host={:?} protocol={:?} sum={sum:?} body={:?}",
        head.version,
        head.uri,
        head.headers.get("host"),
        head.headers.get("x-mesh-protocol"),
        body.to_bytes(),
    );
    Response::new(full(seen))
}

async fn ask_http2(proxy: std::net::SocketAddr, request: Request<AnyBody>) -> (StatusCode, String) {
    let mut sender = http2(proxy).await;
    let response = within(sender.send_request(request)).await.unwrap();
    let status = response.status();
    let body = within(response.into_body().collect()).await.unwrap();
    (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

fn absolute(path: &str) -> Request<AnyBody> {
    Request::get(format!("http://payments{path}"))
        .body(full(""))
        .unwrap()
}

#[tokio::test]
async fn what_the_caller_speaks_goes_on() {
    let old = App::fine().await;
    let new = Http2::serve(100, witness).await;
    let proxy = orders("", old.address);
    assert_eq!(send(proxy.out(), get("payments", "/a")).await.body, "ok");
    assert_eq!(old.seen()[0].version, Version::HTTP_11);
    let proxy = orders("", new.address);
    let (_, seen) = ask_http2(proxy.out(), absolute("/b?x=1")).await;
    assert!(
        seen.starts_with("HTTP/2.0 http://payments/b?x=1") && seen.contains("protocol=None"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_cluster_may_ask_for_either_protocol() {
    let old = App::fine().await;
    let proxy = orders("protocol: http1", old.address);
    let (status, body) = ask_http2(proxy.out(), absolute("/b?x=1")).await;
    assert_eq!((status, &*body), (StatusCode::OK, "ok"));
    let seen = &old.seen()[0];
    assert_eq!(seen.version, Version::HTTP_11);
    assert_eq!(
        (seen.uri.to_string().as_str(), &seen.headers["host"]),
        ("/b?x=1", &"payments".parse().unwrap())
    );
    let new = Http2::serve(100, witness).await;
    let proxy = orders("protocol: http2", new.address);
    let answer = send(proxy.out(), get("payments:80", "/c")).await;
    let seen = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        seen.starts_with("HTTP/2.0 http://payments:80/c host=None protocol=Some(\"http1\")"),
        "{seen}"
    );
    let record = &proxy.records(1).await[0];
    assert!(
        record.contains("network.protocol.version=1.1")
            && record.contains("network.protocol.version=2"),
        "{record}"
    );
}

#[tokio::test]
async fn an_application_gets_what_the_first_caller_spoke() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, policy("{}", &[]));
    let caller = orders("protocol: http2", node.inn());
    let answer = send(caller.out(), get("payments", "/a")).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"ok"[..]));
    let seen = &app.seen()[0];
    assert_eq!(
        (seen.version, &seen.headers["host"]),
        (Version::HTTP_11, &"payments".parse().unwrap())
    );
    assert!(!seen.headers.contains_key("x-mesh-protocol"));
    let record = &node.records(1).await[0];
    assert!(record.contains("network.protocol.version=2"), "{record}");
}

#[tokio::test]
async fn an_application_may_want_one_protocol_from_everybody() {
    let app = Http2::serve(100, witness).await;
    let node = Proxy::inbound(app.address, policy("inbound: { protocol: http2 }", &[]));
    let answer = send(node.inn(), get("payments", "/a")).await;
    assert!(answer.body.starts_with(b"HTTP/2.0"), "{:?}", answer.body);
    assert!(
        !String::from_utf8_lossy(&answer.body).contains("http1"),
        "{:?}",
        answer.body
    );
}

#[tokio::test]
async fn whoever_does_not_speak_http2_is_named_when_connecting() {
    let old = App::fine().await;
    let proxy = orders("protocol: http2", old.address);
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.reason(), "connect_failure");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(
        text.contains("does not speak HTTP/2") && text.contains("`auto` or `http1`"),
        "{text}"
    );
}

/// Answers HTTP/1.1 with its number and HTTP/2 with `refusal`; says how often it was
/// greeted in HTTP/2.
async fn only_http1(refusal: &'static [u8]) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let greeted = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&greeted);
    let address = speaking(move |_, mut stream| {
        let count = Arc::clone(&count);
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.starts_with("PRI ") {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(refusal).await;
                    return;
                }
                if !head.ends_with("\r\n\r\n") {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    (address, greeted)
}

#[tokio::test]
async fn who_turns_out_to_speak_http1_alone_gets_it_and_is_remembered() {
    for refusal in ["", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"] {
        let (address, greeted) = only_http1(refusal.as_bytes()).await;
        let proxy = orders("", address);
        let many = (0..5).map(|_| ask_http2(proxy.out(), absolute("/a")));
        for (status, body) in futures_util::future::join_all(many).await {
            assert_eq!((status, &*body), (StatusCode::OK, "old"), "{refusal}");
        }
        let (_, body) = ask_http2(proxy.out(), absolute("/b")).await;
        assert_eq!(body, "old");
        assert_eq!(greeted.load(Ordering::Relaxed), 1, "{refusal}");
        assert_eq!(proxy.votes("payments").await, (6, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_it_is_asked_again() {
    let (address, greeted) = only_http1(b"").await;
    let proxy = orders("connect_timeout: 1h", address);
    for _ in 0..2 {
        let (_, body) = ask_http2(proxy.out(), absolute("/a")).await;
        assert_eq!(body, "old");
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    assert_eq!(greeted.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_application_of_http1_alone_takes_requests_of_http2() {
    let (address, greeted) = only_http1(b"").await;
    let inbound = Proxy::inbound(address, policy("{}", &[]));
    for _ in 0..3 {
        let (status, body) = ask_http2(inbound.inn(), absolute("/a")).await;
        assert_eq!((status, &*body), (StatusCode::OK, "old"));
    }
    assert_eq!(greeted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn grpc_is_never_translated_and_others_do_not_suffer_for_it() {
    let (address, _) = only_http1(b"").await;
    let proxy = orders("", address);
    let call = || {
        Request::post("http://payments/shop.Pay/Charge")
            .header("content-type", "application/grpc")
            .body(full(""))
            .unwrap()
    };
    let (mut grpc, mut plain) = (http2(proxy.out()).await, http2(proxy.out()).await);
    for _ in 0..2 {
        // At once: both wait for the same first connection.
        let both = async {
            tokio::join!(
                grpc.send_request(call()),
                plain.send_request(absolute("/a"))
            )
        };
        let (called, plain) = within(both).await;
        let headers = called.unwrap().into_parts().0.headers;
        assert_eq!(headers["grpc-status"], "14");
        let message = headers["grpc-message"].to_str().unwrap();
        assert!(message.contains("does not speak HTTP/2"), "{message}");
        assert_eq!(plain.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn who_learns_http2_after_all_is_asked_anew() {
    let address = speaking(|number, mut stream| async move {
        match number {
            1 => {
                let _ = stream.read_u8().await; // and closes
            }
            2 => {
                read_head(&mut stream).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold";
                stream.write_all(answer).await.unwrap();
                read_head(&mut stream).await;
                let _ = stream.write_all(b"nonsense\r\n\r\n").await;
            }
            _ => {
                let service = hyper::service::service_fn(|request| async move {
                    Ok::<_, std::convert::Infallible>(witness(request).await)
                });
                let executor = hyper_util::rt::TokioExecutor::new();
                let _ = hyper::server::conn::http2::Builder::new(executor)
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            }
        }
    })
    .await;
    let proxy = orders("", address);
    let (_, body) = ask_http2(proxy.out(), absolute("/a")).await;
    assert_eq!(body, "old");
    let once = Request::post("http://payments/b").body(full("")).unwrap();
    let (status, _) = ask_http2(proxy.out(), once).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let (_, body) = ask_http2(proxy.out(), absolute("/c")).await;
    assert!(body.starts_with("HTTP/2.0 "), "{body}");
}

/// A body with trailers.
fn with_trailers(text: &'static str) -> AnyBody {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    let frames = [
        Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
        Ok(Frame::trailers(trailers)),
    ];
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn trailers_of_requests_and_answers_cross_from_one_protocol_to_the_other() {
    let echo = |request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "7");
        let mut response = Response::new(with_trailers("answer"));
        response
            .headers_mut()
            .insert("trailer", "x-sum".parse().unwrap());
        response
    };
    let new = Http2::serve(100, echo).await;
    let old = crate::support::serve(echo).await;
    for (settings, app) in [("protocol: http2", new.address), ("protocol: http1", old)] {
        let proxy = orders(settings, app);
        let request = |uri: &str| {
            Request::post(uri)
                .header("host", "payments")
                .header("te", "trailers")
                .header("trailer", "x-sum")
                .body(with_trailers("question"))
                .unwrap()
        };
        let old = within(crate::support::open(proxy.out(), request("/")))
            .await
            .unwrap();
        let old = within(old.into_body().collect()).await.unwrap();
        assert_eq!(
            old.trailers().unwrap()["x-sum"],
            "7",
            "{settings}, HTTP/1.1"
        );
        let mut sender = http2(proxy.out()).await;
        let new = within(sender.send_request(request("http://payments/")))
            .await
            .unwrap();
        let new = within(new.into_body().collect()).await.unwrap();
        assert_eq!(new.trailers().unwrap()["x-sum"], "7", "{settings}, HTTP/2");
        assert_eq!(new.to_bytes(), "answer");
    }
}

#[tokio::test]
async fn answers_that_have_no_body_have_none_in_either_protocol() {
    let answer = |request: Request<Incoming>| async move {
        let status = request.uri().path()[1..].parse().unwrap();
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if request.method() == "HEAD" {
            response
                .headers_mut()
                .insert("content-length", "5".parse().unwrap());
        }
        response
    };
    let new = Http2::serve(100, answer).await;
    let old = crate::support::serve(answer).await;
    for (settings, app) in [("protocol: http2", new.address), ("protocol: http1", old)] {
        let proxy = orders(settings, app);
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/{status}"))
                .header("host", "payments")
                .body(full(""))
                .unwrap();
            let answer = within(send(proxy.out(), request)).await;
            assert_eq!(answer.status.as_u16(), status, "{settings} {method}");
            assert!(answer.body.is_empty());
            if method == "HEAD" {
                assert_eq!(answer.headers["content-length"], "5", "{settings}");
            }
        }
    }
}

/// Answers when it is let, and says that it was asked.
async fn gated(streams: u32) -> (Http2, mpsc::Receiver<()>, Arc<Semaphore>) {
    let (asked, questions) = mpsc::channel(100);
    let gate = Arc::new(Semaphore::new(0));
    let guard = Arc::clone(&gate);
    let app = Http2::serve(streams, move |_| {
        let (asked, guard) = (asked.clone(), Arc::clone(&guard));
        async move {
            asked.send(()).await.unwrap();
            guard.acquire().await.unwrap().forget();
            Response::new(full("ok"))
        }
    })
    .await;
    (app, questions, gate)
}

#[tokio::test]
async fn requests_share_one_connection_and_a_second_is_made_when_streams_run_out() {
    let (app, mut asked, gate) = gated(2).await;
    let proxy = orders("protocol: http2", app.address);
    let ask = || task::spawn("caller", send(proxy.out(), get("payments", "/")));
    let first: Vec<_> = (0..2).map(|_| ask()).collect();
    for _ in 0..2 {
        within(asked.recv()).await.unwrap();
    }
    assert_eq!(app.accepted(), 1, "two at once, one connection");
    let second: Vec<_> = (0..2).map(|_| ask()).collect();
    for _ in 0..2 {
        within(asked.recv()).await.unwrap();
    }
    assert_eq!(
        app.accepted(),
        2,
        "nobody waits behind the limit of streams"
    );
    gate.add_permits(4);
    for answer in first.into_iter().chain(second) {
        assert_eq!(within(answer).await.unwrap().body, "ok");
    }
}

#[tokio::test]
async fn connections_over_the_cap_are_not_made() {
    let (app, mut asked, gate) = gated(1).await;
    let proxy = orders("protocol: http2, max_connections: 1", app.address);
    let first = task::spawn("caller", send(proxy.out(), get("payments", "/")));
    within(asked.recv()).await.unwrap();
    let shed = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(
        (shed.status, shed.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "connection_limit")
    );
    let record = &proxy.records(1).await[0];
    assert!(record.contains("response_flags=UO"), "{record}");
    gate.add_permits(2);
    assert_eq!(within(first).await.unwrap().status, StatusCode::OK);
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    let old = App::fine().await;
    let proxy = orders("max_connections: 1", old.address);
    for _ in 0..3 {
        assert_eq!(
            send(proxy.out(), get("payments", "/")).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn a_dead_upstream_is_told_to_all_who_wait_for_it_at_once() {
    let listener = tokio::net::TcpListener::bind(crate::support::FREE)
        .await
        .unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    let proxy = orders("protocol: http2", dead);
    let answers = (0..5).map(|_| send(proxy.out(), get("payments", "/")));
    for answer in within(futures_util::future::join_all(answers)).await {
        assert_eq!(answer.reason(), "connection_refused");
    }
}

async fn settled(app: &Http2, wanted: usize) {
    within(async {
        while app.open() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_unused_connection_is_closed_although_nothing_more_is_asked() {
    let app = Http2::serve(100, witness).await;
    let proxy = orders("protocol: http2, idle_timeout: 50ms", app.address);
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    assert_eq!(app.accepted(), 1);
    settled(&app, 0).await;
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    assert_eq!(app.accepted(), 2);
    let closed = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&closed);
    let old = speaking(move |_, mut stream| {
        let told = Arc::clone(&told);
        async move {
            use tokio::io::AsyncWriteExt as _;
            while read_head(&mut stream).await.ends_with("\r\n\r\n") {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
            told.add_permits(1);
        }
    })
    .await;
    let proxy = orders("idle_timeout: 50ms", old);
    assert_eq!(send(proxy.out(), get("payments", "/")).await.body, "ok");
    within(closed.acquire()).await.unwrap().forget();
}

#[tokio::test]
async fn a_connection_over_its_age_takes_no_new_request() {
    let app = Http2::serve(100, witness).await;
    let proxy = orders("protocol: http2, max_connection_age: 30ms", app.address);
    for _ in 0..2 {
        assert_eq!(
            send(proxy.out(), get("payments", "/")).await.status,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(app.accepted(), 2);
}
