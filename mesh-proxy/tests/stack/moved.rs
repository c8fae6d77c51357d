//! Metrics that only a sidecar as a whole can move, read from its page.

use std::fs;

use http::{Method, StatusCode};
use mesh_proxy::config::Policy;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    control::{Console, push},
    pki::{Pki, id},
    process::{Folder, Ports, Running},
    support::{App, get, policy, post, send, within},
};

fn pushed(app: &App) -> Policy {
    policy(
        "
clusters: { brittle: { endpoints: [$app], consecutive_failures: 3, ejection: 30s } }
routes: [{ name: brittle, match: { authority: brittle }, cluster: brittle, retry: { attempts: 2 } }]
inbound:
  adaptive: { min: 2, max: 10 }
  rate_limit: { per_second: 1, burst: 2 }
  deny: [{ methods: [DELETE] }]
",
        &[("app", app.address)],
    )
}

#[tokio::test]
async fn what_a_sidecar_counts_moves_when_it_happens() {
    let (folder, ports, pki) = (Folder::new("moved"), Ports::free(), Pki::new());
    let (app, mut console) = (
        App::failing(StatusCode::SERVICE_UNAVAILABLE).await,
        Console::start().await,
    );
    let inbound = Ports::free().0[0];
    let pair = pki.issue("orders", &[&id("orders"), "localhost"]);
    let [outbound, admin, metrics] = ports.0;
    let file = format!(
        "
service: orders
instance: orders-1
outbound: {{ listen: '{outbound}' }}
inbound:
  listen: '{inbound}'
  application: '{}'
  tls: {{ certificate: {}, key: {}, permissive: true }}
admin: {admin}
metrics: {metrics}
control: http://{}
",
        app.address,
        pair.certificate.display(),
        pair.key.display(),
        console.address,
    );
    fs::write(folder.file(), file).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let stream = console.stream().await;
    push(&stream, 7, pushed(&app)).await;
    running.until_metric("mesh_config_revision", 7.0).await;
    running.until_metric("mesh_control_connected", 1.0).await;

    let charged = send(outbound, post("brittle", "/", "x")).await;
    assert_eq!(charged.status, StatusCode::SERVICE_UNAVAILABLE);
    // The first of these is retried and ejects, the second finds nobody.
    for _ in 0..2 {
        send(outbound, get("brittle", "/")).await;
    }
    let edge = "source=\"orders\",destination=\"brittle\"";
    let address = app.address;
    for (series, least) in [
        (format!("mesh_retry_refused_total{{{edge},reason=\"not_idempotent\"}}"), 1.0),
        (format!("mesh_attempt_duration_seconds_count{{{edge},response_class=\"5xx\"}}"), 3.0),
        ("mesh_proxy_overhead_seconds_count{direction=\"outbound\"}".to_owned(), 2.0),
        ("mesh_endpoint_ejections_total{destination=\"brittle\",reason=\"consecutive_failures\"}".to_owned(), 1.0),
        (format!("mesh_breaker_state{{destination=\"brittle\",endpoint=\"{address}\"}}"), 2.0),
        ("mesh_endpoints{destination=\"brittle\",state=\"ejected\"}".to_owned(), 1.0),
        ("mesh_upstream_connects_total{destination=\"brittle\",result=\"ok\"}".to_owned(), 1.0),
        ("mesh_upstream_connections{destination=\"brittle\"}".to_owned(), 1.0),
    ] {
        running.until_metric(&series, least).await;
    }
    let budget = format!("mesh_retry_budget_remaining_ratio{{{edge}}}");
    assert!(running.metric(&budget).await <= 1.0);

    let mut refused = get("orders", "/");
    *refused.method_mut() = Method::DELETE;
    assert_eq!(send(inbound, refused).await.status, StatusCode::FORBIDDEN);
    for _ in 0..4 {
        send(inbound, get("orders", "/")).await;
    }
    let client = TlsConnector::from(pki.client(None));
    let stream = TcpStream::connect(inbound).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    within(client.connect(name, stream)).await.unwrap();
    for (series, least) in [
        (
            "mesh_authorization_denied_total{source=\"external\",destination=\"orders\"}",
            1.0,
        ),
        (
            "mesh_requests_shed_total{direction=\"inbound\",destination=\"orders\",reason=\"rate_limited\"}",
            1.0,
        ),
        (
            "mesh_concurrency_limit{direction=\"inbound\",destination=\"orders\",route=\"inbound\"}",
            2.0,
        ),
        (
            "mesh_tls_handshakes_total{direction=\"inbound\",result=\"ok\"}",
            1.0,
        ),
        (
            "mesh_certificate_expiry_timestamp_seconds{direction=\"inbound\"}",
            1e9,
        ),
    ] {
        running.until_metric(series, least).await;
    }
    running.stop();
}
