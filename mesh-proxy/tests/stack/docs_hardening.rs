//! The example of docs/hardening.md does what the page says.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    pages::example,
    support::{App, Proxy},
};

const PAGE: &str = include_str!("../../../docs/hardening.md");

/// The example on free ports, in front of this application.
fn started(app: &App) -> Proxy {
    let mut config = example(PAGE);
    let inbound = config.inbound.as_mut().unwrap();
    inbound.application = app.address;
    let payments = config.policy.clusters.get_mut("payments").unwrap();
    payments.endpoints = vec![app.address.to_string()];
    Proxy::start(config)
}

async fn said(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn the_example_refuses_what_the_page_says() {
    let app = App::fine().await;
    let proxy = started(&app);
    let many = "x: y\r\n".repeat(61);
    for (text, wanted) in [
        (
            "GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n".to_owned(),
            "200",
        ),
        (
            "GET / HTTP/1.1\r\nhost: orders\r\nx: y\n\r\n".to_owned(),
            "400",
        ),
        ("GET / HTTP/1.1\r\nhost: orders\r\n".to_owned(), "408"),
        (
            format!("GET / HTTP/1.1\r\nhost: orders\r\n{many}\r\n"),
            "431",
        ),
        (
            "GET /x/..%2fADMIN;a HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n".to_owned(),
            "403",
        ),
    ] {
        let answer = said(proxy.inn(), &text).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {wanted}")),
            "{text}: {answer}"
        );
    }
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn the_example_opens_tunnels() {
    let app = App::fine().await;
    let proxy = started(&app);
    let through = "CONNECT payments:80 HTTP/1.1\r\nhost: payments:80\r\n\r\n\
        GET /inside HTTP/1.1\r\nhost: whoever\r\nconnection: close\r\n\r\n";
    let answer = said(proxy.out(), through).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(app.seen()[0].uri, "/inside");
}
