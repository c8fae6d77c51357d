//! Connections that change their protocol: what WebSocket does.

use std::{net::SocketAddr, time::Duration};

use mesh_telemetry::task;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    peers::{read_head, speaking},
    support::{App, Proxy, ended, policy, within},
};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: payments\r\nconnection: keep-alive, Upgrade\r\n\
upgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
sec-websocket-accept: y\r\n\r\n";

fn orders(settings: &str, app: SocketAddr) -> Proxy {
    let yaml = format!(
        "
clusters: {{ payments: {{ endpoints: [$app] }} }}
routes: [{{ name: payments, match: {{}}, cluster: payments, {settings} }}]
"
    );
    Proxy::outbound(policy(&yaml, &[("app", app)]))
}

/// Switches, says `hello`, then says everything back in capitals until there is no
/// more, and then `bye`.
async fn parrot() -> SocketAddr {
    speaking(|_, mut stream| async move {
        let head = read_head(&mut stream).await.to_ascii_lowercase();
        assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
        assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
        stream.write_all(SWITCH).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let loud = buffer[..count].to_ascii_uppercase();
            if stream.write_all(&loud).await.is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"bye").await;
    })
    .await
}

async fn ask(proxy: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let head = within(read_head(&mut stream)).await;
    (stream, head)
}

async fn read(stream: &mut TcpStream, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, wanted);
}

#[tokio::test]
async fn bytes_go_both_ways_through_both_sidecars_and_each_side_ends_by_itself() {
    let node = Proxy::inbound(parrot().await, policy("{}", &[]));
    let caller = orders("deadline: 10s", node.inn());
    let (mut stream, head) = ask(caller.out()).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(
        lower.contains("upgrade: websocket") && lower.contains("connection: upgrade"),
        "{head}"
    );
    assert!(lower.contains("sec-websocket-accept: y"), "{head}");
    read(&mut stream, b"hello").await;
    stream.write_all(b"one").await.unwrap();
    read(&mut stream, b"ONE").await;
    assert!(
        caller.sink.take().is_empty(),
        "the request goes on as long as the tunnel"
    );
    stream.shutdown().await.unwrap();
    read(&mut stream, b"bye").await;
    assert_eq!(within(stream.read(&mut [0])).await.unwrap(), 0);
    for proxy in [&caller, &node] {
        let record = &within(ended(proxy)).await;
        assert!(
            record.contains("status_code=101") && !record.contains("response_flags"),
            "{record}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_outlives_the_deadline_and_ends_when_it_is_silent_for_too_long() {
    let proxy = orders("deadline: 1s, idle_timeout: 5s", parrot().await);
    let (mut stream, _) = ask(proxy.out()).await;
    read(&mut stream, b"hello").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stream.write_all(b"still").await.unwrap();
        read(&mut stream, b"STILL").await;
    }
    assert!(
        within(stream.read(&mut [0]))
            .await
            .is_ok_and(|count| count == 0)
    );
    let record = &within(ended(&proxy)).await;
    assert!(
        record.contains("mesh.reason=idle_timeout") && record.contains("response_flags=UT"),
        "{record}"
    );
}

#[tokio::test]
async fn a_tunnel_counts_as_in_flight() {
    let proxy = orders("max_in_flight: 1", parrot().await);
    let (mut stream, _) = ask(proxy.out()).await;
    read(&mut stream, b"hello").await;
    let (_, head) = ask(proxy.out()).await;
    assert!(
        head.starts_with("HTTP/1.1 503") && head.contains("overload"),
        "{head}"
    );
    drop(stream);
    within(async {
        while !ask(proxy.out()).await.1.starts_with("HTTP/1.1 101") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back() {
    let (told, mut written) = tokio::sync::watch::channel(0_usize);
    let address = speaking(move |_, mut stream| {
        let told = told.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(SWITCH).await.unwrap();
            let chunk = vec![7; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {
                told.send_modify(|count| *count += chunk.len());
            }
        }
    })
    .await;
    let proxy = orders("deadline: 10s", address);
    let (stream, _) = ask(proxy.out()).await;
    let mut before = usize::MAX;
    while before != *written.borrow() {
        before = *written.borrow();
        let _ = tokio::time::timeout(Duration::from_millis(300), written.changed()).await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(
        before < 64 << 20,
        "{before} bytes were taken from the upstream unread"
    );
    drop(stream);
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let app = App::fine().await;
    let proxy = orders("deadline: 10s", app.address);
    let (mut stream, head) = ask(proxy.out()).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    read(&mut stream, b"ok").await;
    stream
        .write_all(b"GET /next HTTP/1.1\r\nhost: payments\r\n\r\n")
        .await
        .unwrap();
    let head = within(read_head(&mut stream)).await;
    assert!(
        head.starts_with("HTTP/1.1 200"),
        "the connection goes on: {head}"
    );
    assert_eq!(app.seen()[0].headers["upgrade"], "websocket");
}

#[tokio::test]
async fn an_upgrade_stays_here_where_the_route_says_so_and_for_http2_everywhere() {
    let app = App::fine().await;
    for (settings, upgrade) in [("upgrades: false", "websocket"), ("upgrades: true", "h2c")] {
        let proxy = orders(settings, app.address);
        let mut stream = TcpStream::connect(proxy.out()).await.unwrap();
        let ask = ASK.replace("websocket", upgrade);
        stream.write_all(ask.as_bytes()).await.unwrap();
        let head = within(read_head(&mut stream)).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let sent = app.seen().last().unwrap().headers.clone();
        assert!(
            !sent.contains_key("upgrade") && !sent.contains_key("connection"),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_switches_unasked_is_refused() {
    let address = speaking(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCH).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    })
    .await;
    let proxy = orders("upgrades: false", address);
    let (_, head) = ask(proxy.out()).await;
    assert!(
        head.starts_with("HTTP/1.1 502") && head.contains("upstream_protocol"),
        "{head}"
    );
}

#[tokio::test]
async fn a_drain_ends_a_tunnel_when_it_gives_up() {
    let proxy = orders("deadline: 10s", parrot().await);
    let sink = proxy.sink.clone();
    let (mut stream, _) = ask(proxy.out()).await;
    read(&mut stream, b"hello").await;
    tokio::time::pause();
    let drained = task::spawn("drain", proxy.sidecar.drain());
    stream.write_all(b"still").await.unwrap();
    read(&mut stream, b"STILL").await;
    within(drained).await.unwrap();
    assert!(
        within(stream.read(&mut [0]))
            .await
            .is_ok_and(|count| count == 0)
    );
    loop {
        if let Some(record) = sink.take().first() {
            let record = record.describe();
            assert!(record.contains("mesh.reason=drained"), "{record}");
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_caller_who_leaves_a_tunnel_is_told_from_an_upstream_that_breaks() {
    let proxy = orders("deadline: 10s", parrot().await);
    let (stream, _) = ask(proxy.out()).await;
    stream.set_zero_linger().unwrap(); // resets, with `hello` unread
    drop(stream);
    let record = &within(ended(&proxy)).await;
    assert!(record.contains("DC"), "{record}");
    let breaking = speaking(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCH).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let proxy = orders("deadline: 10s", breaking);
    let (mut stream, _) = ask(proxy.out()).await;
    let _ = within(stream.read(&mut [0])).await;
    let record = &within(ended(&proxy)).await;
    assert!(
        record.contains("body_broke_off") && record.contains("UC"),
        "{record}"
    );
}

#[tokio::test]
async fn a_mirrored_copy_asks_for_no_other_protocol() {
    let shadow = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: [$app] }, shadow: { endpoints: [$shadow] } }
routes: [{ name: payments, match: {}, cluster: payments, mirror: { cluster: shadow, percent: 100 } }]
";
    let apps = [("app", parrot().await), ("shadow", shadow.address)];
    let proxy = Proxy::outbound(policy(yaml, &apps));
    let (mut stream, _) = ask(proxy.out()).await;
    read(&mut stream, b"hello").await;
    within(async {
        while shadow.count() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let copy = &shadow.seen()[0].headers;
    assert!(
        !copy.contains_key("upgrade") && !copy.contains_key("connection"),
        "{copy:?}"
    );
}
