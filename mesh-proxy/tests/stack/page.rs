//! What the page of metrics says of listeners, tunnels, probes and lookups, read from
//! a real sidecar's.

use std::{fs, net::SocketAddr};

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    discovery::{NameServer, address},
    process::{Folder, Ports, Running, until},
    support::{App, get, send, within},
};

/// A sidecar with an access log, and a cluster whose endpoint is found by name and probed.
async fn started(folder: &Folder, ports: Ports, app: &App, server: &NameServer) -> Running {
    let [outbound, admin, metrics] = ports.0;
    let (port, server) = (app.address.port(), server.address);
    let log = folder.0.join("access.log");
    let file = format!(
        "
service: orders
instance: orders-1
outbound: {{ listen: '{outbound}', limits: {{ allow_connect: true }} }}
admin: {admin}
metrics: {metrics}
access_log: {{ to: {log} }}
policy:
  clusters:
    payments:
      dns: {{ name: payments.test., record: address, port: {port}, min_ttl: 50ms, server: '{server}' }}
      health_check: {{ http: /health, interval: 50ms, timeout: 20s }}
      connect_timeout: 30s
  routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 50s }}]
",
        log = log.display()
    );
    fs::write(folder.file(), file).unwrap();
    Running::start(&folder.file(), ports, &[]).await
}

/// Sends this on a connection of its own, and reads an answer's head.
async fn say(to: SocketAddr, text: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn connections_malformed_requests_and_tunnels_are_counted() {
    let (folder, ports, app) = (Folder::new("listener"), Ports::free(), App::fine().await);
    let server = NameServer::saying(vec![address("payments.test.", [127, 0, 0, 1])]).await;
    let running = started(&folder, ports, &app, &server).await;
    let open = "mesh_downstream_connections{listener=\"outbound\"}";

    let bad = "GET / HTTP/1.1\r\nhost: payments\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";
    let (stream, head) = say(ports.0[0], bad).await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    drop(stream);
    let reason = "reason=\"content_length\"";
    let malformed = format!("mesh_requests_malformed_total{{listener=\"outbound\",{reason}}}");
    running.until_metric(&malformed, 1.0).await;
    let closed =
        "mesh_downstream_connections_closed_total{listener=\"outbound\",reason=\"malformed\"}";
    running.until_metric(closed, 1.0).await;

    let connect = "CONNECT payments:80 HTTP/1.1\r\nhost: payments:80\r\n\r\n";
    let (mut tunnel, head) = say(ports.0[0], connect).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let tunnels = "mesh_tunnels{destination=\"payments\"}";
    running.until_metric(tunnels, 1.0).await;
    let idle = TcpStream::connect(ports.0[0]).await.unwrap();
    running.until_metric(open, 1.0).await;
    drop(idle);
    let inside = b"GET /through HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n";
    tunnel.write_all(inside).await.unwrap();
    let mut answer = Vec::new();
    within(tunnel.read_to_end(&mut answer)).await.unwrap();
    drop(tunnel);
    let bytes =
        |flow| format!("mesh_tunnel_bytes_total{{destination=\"payments\",flow=\"{flow}\"}}");
    running
        .until_metric(&bytes("sent"), inside.len() as f64)
        .await;
    running
        .until_metric(&bytes("received"), answer.len() as f64)
        .await;
    until("all is closed", async || {
        running.metric(tunnels).await + running.metric(open).await < 0.5
    })
    .await;
    running.stop();
}

#[tokio::test]
async fn probes_lookups_and_lines_of_the_log_are_counted() {
    let (folder, ports, app) = (Folder::new("clusters"), Ports::free(), App::fine().await);
    let server = NameServer::saying(vec![address("payments.test.", [127, 0, 0, 1])]).await;
    let running = started(&folder, ports, &app, &server).await;
    let answer = send(ports.0[0], get("payments", "/order")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let lookups = "mesh_dns_lookups_total{destination=\"payments\",result=\"ok\"}";
    let probes = "mesh_health_checks_total{destination=\"payments\",result=\"ok\"}";
    for (series, least) in [
        (lookups, 2.0),
        (probes, 2.0),
        (
            "mesh_endpoints{destination=\"payments\",state=\"ready\"}",
            1.0,
        ),
        ("mesh_access_log_lines_total{result=\"written\"}", 1.0),
    ] {
        running.until_metric(series, least).await;
    }
    running.stop();
}
