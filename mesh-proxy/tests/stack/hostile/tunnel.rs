//! `CONNECT`.

use mesh_proxy::config::ListenerLimits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{connect, limited, orders, raw, until};
use crate::support::{App, FREE, Proxy, config, policy, within};

#[tokio::test]
async fn a_tunnel_is_refused_unless_it_is_allowed() {
    let app = App::fine().await;
    let ask = "CONNECT payments:80 HTTP/1.1\r\nhost: payments:80\r\nconnection: close\r\n\r\n";
    let answer = raw(&orders(&app), ask).await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("connect_not_supported"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_allowed_tunnel_carries_bytes_both_ways_to_the_cluster_of_its_name() {
    let upstream = TcpListener::bind(FREE).await.unwrap();
    let mut settings = config(
        "orders",
        None,
        policy(super::OUT, &[("app", upstream.local_addr().unwrap())]),
    );
    settings.outbound.as_mut().unwrap().limits.allow_connect = true;
    let proxy = Proxy::start(settings);
    // What follows at once is held until it is known where it goes.
    let ask = "CONNECT payments:5432 HTTP/1.1\r\nhost: payments:5432\r\n\r\n\x00\x01not http\n";
    let mut caller = connect(&proxy, ask).await;
    let (mut far, _) = upstream.accept().await.unwrap();
    let mut got = [0; 11];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\x00\x01not http\n");
    far.write_all(b"\xff pong").await.unwrap();
    let head = until(&mut caller, "pong").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        proxy.sink.take().is_empty(),
        "the record ends with the tunnel"
    );
    drop(far);
    assert_eq!(super::rest(&mut caller).await, "");
    drop(caller);
    let record = within(async {
        loop {
            if let Some(record) = proxy.sink.take().first() {
                return record.describe();
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(record.contains("status_code=200"), "{record}");
}

#[tokio::test]
async fn a_tunnel_leads_to_clusters_only_and_has_no_body() {
    let app = App::fine().await;
    let proxy = limited(
        &app,
        ListenerLimits {
            allow_connect: true,
            ..ListenerLimits::default()
        },
    );
    for (ask, wanted) in [
        (
            "CONNECT elsewhere:22 HTTP/1.1\r\nhost: elsewhere:22\r\n",
            "404",
        ),
        ("CONNECT payments:80 HTTP/1.1\r\nhost: users:80\r\n", "400"),
        (
            "CONNECT payments:80 HTTP/1.1\r\nhost: payments:80\r\ncontent-length: 3\r\n",
            "400",
        ),
        (
            "CONNECT payments:80 HTTP/1.1\r\nhost: payments:80\r\ntransfer-encoding: chunked\r\n",
            "400",
        ),
    ] {
        let answer = raw(&proxy, format!("{ask}connection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {wanted}")),
            "{ask:?}: {answer}"
        );
    }
    assert_eq!(app.count(), 0);
}
