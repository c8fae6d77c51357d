//! The example of docs/protocols.md runs, and does what the page says.

use std::net::SocketAddr;

use http::Version;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    pages::example,
    peers::{http2, read_head, speaking},
    support::{App, Proxy, full, get, send, within},
};

const PAGE: &str = include_str!("../../../docs/protocols.md");

/// The example as two sidecars, one beside the application, one beside its caller.
fn pair(application: SocketAddr) -> (Proxy, Proxy) {
    let (mut node, mut caller) = (example(PAGE), example(PAGE));
    node.outbound = None;
    node.inbound.as_mut().unwrap().application = application;
    let node = Proxy::start(node);
    caller.inbound = None;
    let chat = caller.policy.clusters.get_mut("chat").unwrap();
    chat.endpoints = vec![node.inn().to_string()];
    (node, Proxy::start(caller))
}

#[tokio::test]
async fn the_documented_pair_carries_http1_over_http2_and_gives_http1_back() {
    let app = App::fine().await;
    let (_node, caller) = pair(app.address);
    let answer = send(caller.out(), get("chat", "/")).await;
    assert_eq!(answer.body, "ok");
    let seen = &app.seen()[0];
    assert_eq!(seen.version, Version::HTTP_11);
    assert_eq!(seen.headers["via"], "2 chat");
    assert_eq!(
        seen.headers["forwarded"],
        "for=127.0.0.1;host=chat;proto=http"
    );
}

#[tokio::test]
async fn an_application_of_http1_answers_a_caller_of_http2() {
    let app = App::fine().await;
    let (_node, caller) = pair(app.address);
    let ask = http::Request::get("http://chat/").body(full("")).unwrap();
    let answer = http2(caller.out()).await.send_request(ask).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(app.seen()[0].version, Version::HTTP_11);
}

/// The headers of the page's WebSocket command open one.
#[tokio::test]
async fn the_documented_handshake_opens_a_websocket() {
    let (_, command) = PAGE.split_once("curl --http1.1").unwrap();
    let (command, _) = command.split_once("\nwebsocat").unwrap();
    let headers: Vec<&str> = command.split('\'').skip(1).step_by(2).collect();
    let application = speaking(|_, mut stream| async move {
        let head = read_head(&mut stream).await.to_ascii_lowercase();
        assert!(head.contains("upgrade: websocket"), "{head}");
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
upgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let (_node, caller) = pair(application);
    let mut stream = TcpStream::connect(caller.out()).await.unwrap();
    let ask = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = within(read_head(&mut stream)).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}
