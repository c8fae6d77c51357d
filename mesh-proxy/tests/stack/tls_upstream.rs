//! TLS towards upstreams: who is trusted, and what is said when nobody is.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{StatusCode, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use mesh_proxy::config::{Policy, Protocol, UpstreamTls};
use mesh_telemetry::task;
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    pki::{Pair, Pki, id, upstream},
    support::{Answer, App, FREE, Proxy, config, get, policy, send, text, within},
};

/// A server with TLS that is no sidecar, and what it saw of handshakes.
struct Server {
    address: SocketAddr,
    resumed: Arc<AtomicUsize>,
}

impl Server {
    /// Offers these protocols, and answers with the version that was spoken.
    async fn start(pki: &Pki, pair: &Pair, alpn: &[&str], client_ca: bool) -> Self {
        let config = Arc::new(pki.server(pair, alpn, client_ca));
        let listener = TcpListener::bind(FREE).await.unwrap();
        let address = listener.local_addr().unwrap();
        let resumed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&resumed);
        task::spawn("test_tls_server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) =
                    (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&count));
                task::spawn("test_tls_connection", async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    let service = service_fn(|request: http::Request<Incoming>| async move {
                        let said = if request.version() == Version::HTTP_2 {
                            assert_eq!(request.uri().scheme_str(), Some("https"));
                            "h2"
                        } else {
                            "h1"
                        };
                        Ok::<_, Infallible>(text(StatusCode::OK, said))
                    });
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, resumed }
    }
}

/// A policy that sends all to these endpoints with TLS.
fn to(addresses: &[SocketAddr], tls: UpstreamTls) -> Policy {
    let mut policy = policy(
        "
clusters: { payments: { endpoints: [] } }
routes: [{ name: all, match: {}, cluster: payments }]
",
        &[],
    );
    let cluster = policy.clusters.get_mut("payments").unwrap();
    cluster.endpoints = addresses.iter().map(ToString::to_string).collect();
    cluster.tls = Some(tls);
    policy
}

fn expecting(pki: &Pki, own: Option<&Pair>, service: &str) -> UpstreamTls {
    UpstreamTls {
        identity: Some(id(service)),
        ..upstream(pki.ca(), own)
    }
}

async fn ask(proxy: &Proxy) -> Answer {
    within(send(proxy.out(), get("payments", "/charge"))).await
}

#[tokio::test]
async fn two_sidecars_know_each_other_by_their_certificates() {
    let (app, pki) = (App::fine().await, Pki::new());
    let mut payments = config(
        "payments",
        Some(app.address),
        policy("inbound: { callers: [orders] }", &[]),
    );
    let tls = pki.service("payments").listener(Some(pki.ca()));
    payments.inbound.as_mut().unwrap().tls = Some(tls);
    let payments = Proxy::start(payments);
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Auto] {
        let tls = expecting(&pki, Some(&pki.service("orders")), "payments");
        let mut policy = to(&[payments.inn()], tls);
        policy.clusters.get_mut("payments").unwrap().protocol = protocol;
        let orders = Proxy::outbound(policy);
        let answer = ask(&orders).await;
        assert_eq!(answer.status, StatusCode::OK, "{protocol:?} {answer:?}");
        let record = &orders.records(1).await[0];
        let shown = "mesh.peer_identity=spiffe://example.org/ns/default/sa/payments";
        for part in [shown, "tls.protocol.version=1.3", "url.full=https://"] {
            assert!(record.contains(part), "{part} missing in {record}");
        }
        let record = &payments.records(1).await[0];
        for part in ["mesh.source=orders", "tls.protocol.version=1.3"] {
            assert!(record.contains(part), "{part} missing in {record}");
        }
    }
    assert_eq!(app.count(), 3);
}

#[tokio::test]
async fn the_upstreams_choice_decides_what_is_spoken() {
    let pki = Pki::new();
    let pair = pki.service("payments");
    for (alpn, protocol, spoken) in [
        (&["h2", "http/1.1"][..], Protocol::Auto, "h2"),
        (&["http/1.1"], Protocol::Auto, "h1"),
        (&[], Protocol::Auto, "h1"),
        (&["h2", "http/1.1"], Protocol::Http1, "h1"),
        (&["h2", "http/1.1"], Protocol::Http2, "h2"),
    ] {
        let server = Server::start(&pki, &pair, alpn, false).await;
        let mut policy = to(&[server.address], expecting(&pki, None, "payments"));
        policy.clusters.get_mut("payments").unwrap().protocol = protocol;
        let proxy = Proxy::outbound(policy);
        for _ in 0..2 {
            assert_eq!(ask(&proxy).await.body, spoken, "{alpn:?} {protocol:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_somebody_else_gets_no_request() {
    let pki = Pki::new();
    let imposter = Server::start(&pki, &pki.service("orders"), &[], false).await;
    let proxy = Proxy::outbound(to(&[imposter.address], expecting(&pki, None, "payments")));
    let answer = ask(&proxy).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.reason(), "tls_identity");
    let told = String::from_utf8_lossy(&answer.body);
    for part in [id("orders"), id("payments")] {
        assert!(told.contains(&part), "{part} missing in {told}");
    }
    let record = &proxy.records(1).await[0];
    assert!(record.contains("error.type=tls_identity"), "{record}");
    assert!(record.contains("mesh.response_flags=UF"), "{record}");
    assert!(!record.contains("mesh.peer_identity"), "{record}");
}

#[tokio::test]
async fn a_certificate_with_two_identities_has_none() {
    let pki = Pki::new();
    let pair = pki.issue("two", &[&id("payments"), &id("orders")]);
    let server = Server::start(&pki, &pair, &[], false).await;
    let proxy = Proxy::outbound(to(&[server.address], expecting(&pki, None, "payments")));
    assert_eq!(ask(&proxy).await.reason(), "tls_identity");
}

#[tokio::test]
async fn a_name_is_verified_where_no_identity_is_asked_for() {
    let pki = Pki::new();
    let pair = pki.issue("payments", &["payments.example.org"]);
    let server = Server::start(&pki, &pair, &[], false).await;
    for (name, wanted) in [
        (Some("payments.example.org"), StatusCode::OK),
        (Some("orders.example.org"), StatusCode::SERVICE_UNAVAILABLE),
        (None, StatusCode::SERVICE_UNAVAILABLE), // the endpoint is 127.0.0.1
    ] {
        let mut tls = upstream(pki.ca(), None);
        tls.server_name = name.map(str::to_owned);
        let proxy = Proxy::outbound(to(&[server.address], tls));
        let answer = ask(&proxy).await;
        assert_eq!(answer.status, wanted, "{name:?}");
        if wanted != StatusCode::OK {
            assert_eq!(answer.reason(), "tls_identity");
        }
    }
}

#[tokio::test]
async fn certificates_that_prove_nothing_are_refused_with_the_cause() {
    let (pki, other) = (Pki::new(), Pki::new());
    let expired = pki.issue_with("expired", &[&id("payments")], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let early = pki.issue_with("early", &[&id("payments")], |params| {
        params.not_before = rcgen::date_time_ymd(2080, 1, 1);
    });
    for (pair, part) in [
        (expired, "expired"),
        (early, "not valid yet"),
        (other.service("payments"), "no authority that is trusted"),
    ] {
        let server = Server::start(&pki, &pair, &[], false).await;
        for tls in [expecting(&pki, None, "payments"), upstream(pki.ca(), None)] {
            let proxy = Proxy::outbound(to(&[server.address], tls));
            let answer = ask(&proxy).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.reason(), "tls_handshake");
            let told = String::from_utf8_lossy(&answer.body);
            assert!(told.contains(part), "`{part}` missing in {told}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_plain_text_is_told_apart() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = Proxy::outbound(to(&[app.address], expecting(&pki, None, "payments")));
    let answer = ask(&proxy).await;
    assert_eq!(answer.reason(), "tls_handshake");
    let told = String::from_utf8_lossy(&answer.body);
    assert!(told.contains("does not speak TLS"), "{told}");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_and_gets_none_is_a_failed_handshake() {
    let pki = Pki::new();
    let pair = pki.service("payments");
    for alpn in ["http/1.1", "h2"] {
        let server = Server::start(&pki, &pair, &[alpn], true).await;
        let proxy = Proxy::outbound(to(&[server.address], expecting(&pki, None, "payments")));
        let answer = ask(&proxy).await;
        assert_eq!(answer.reason(), "tls_handshake", "{alpn}");
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_failed_handshake_is_retried_elsewhere() {
    let pki = Pki::new();
    let imposter = Server::start(&pki, &pki.service("orders"), &[], false).await;
    let server = Server::start(&pki, &pki.service("payments"), &[], false).await;
    let tls = expecting(&pki, None, "payments");
    let mut policy = to(&[imposter.address, server.address], tls);
    let retry = "{ attempts: 2, on: [connect-failure], backoff_base: 1ms }";
    policy.routes[0].retry = Some(serde_saphyr::from_str(retry).unwrap());
    let proxy = Proxy::outbound(policy);
    for _ in 0..10 {
        assert_eq!(ask(&proxy).await.status, StatusCode::OK);
    }
    let records = proxy.records(10).await.concat();
    assert!(records.contains("error.type=tls_identity"), "{records}");
}

#[tokio::test]
async fn a_second_connection_resumes_the_session() {
    let pki = Pki::new();
    let server = Server::start(&pki, &pki.service("payments"), &["http/1.1"], false).await;
    let mut policy = to(&[server.address], expecting(&pki, None, "payments"));
    let cluster = policy.clusters.get_mut("payments").unwrap();
    cluster.idle_timeout = std::time::Duration::from_nanos(1); // no connection is used twice
    let proxy = Proxy::outbound(policy);
    for _ in 0..3 {
        assert_eq!(ask(&proxy).await.status, StatusCode::OK);
    }
    assert_eq!(server.resumed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn another_identity_in_the_policy_is_verified_anew() {
    let pki = Pki::new();
    let server = Server::start(&pki, &pki.service("payments"), &[], false).await;
    let proxy = Proxy::outbound(to(&[server.address], expecting(&pki, None, "payments")));
    assert_eq!(ask(&proxy).await.status, StatusCode::OK);
    let other = to(&[server.address], expecting(&pki, None, "orders"));
    proxy.sidecar.apply(1, other).unwrap();
    assert_eq!(ask(&proxy).await.reason(), "tls_identity");
}

#[tokio::test]
async fn a_replaced_authority_is_trusted_from_the_next_connection_on() {
    let (old, new) = (Pki::new(), Pki::new());
    let server = Server::start(&new, &new.service("payments"), &[], false).await;
    let proxy = Proxy::outbound(to(&[server.address], expecting(&old, None, "payments")));
    assert_eq!(ask(&proxy).await.reason(), "tls_handshake");
    std::fs::copy(new.ca(), old.ca()).unwrap();
    proxy.sidecar.refresh_certificates();
    assert_eq!(ask(&proxy).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_policy_whose_files_cannot_be_used_is_refused() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = Proxy::outbound(to(&[app.address], expecting(&pki, None, "payments")));
    let mut tls = expecting(&pki, None, "payments");
    tls.ca = pki.path("gone.pem");
    let problems = proxy.sidecar.apply(1, to(&[app.address], tls)).unwrap_err();
    assert_eq!(problems[0].key, "clusters.payments.tls.ca");
    assert_eq!(proxy.sidecar.revision(), 0);
}

#[tokio::test]
async fn a_tunnel_is_secured_and_verified_like_any_connection() {
    let pki = Pki::new();
    let server = Server::start(&pki, &pki.service("payments"), &["http/1.1"], false).await;
    for (identity, wanted) in [("payments", "HTTP/1.1 200 "), ("orders", "HTTP/1.1 503 ")] {
        let policy = to(&[server.address], expecting(&pki, None, identity));
        let mut config = config("orders", None, policy);
        config.outbound.as_mut().unwrap().limits.allow_connect = true;
        let proxy = Proxy::start(config);
        let mut stream = TcpStream::connect(proxy.out()).await.unwrap();
        let asked = b"CONNECT payments:443 HTTP/1.1\r\nhost: payments:443\r\n\r\n";
        stream.write_all(asked).await.unwrap();
        assert!(within(head(&mut stream)).await.starts_with(wanted));
        if identity == "payments" {
            let inside = b"GET / HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n";
            stream.write_all(inside).await.unwrap();
            let mut answer = String::new();
            within(stream.read_to_string(&mut answer)).await.unwrap();
            assert!(answer.ends_with("h1"), "{answer}");
        }
    }
}

/// Everything up to the empty line.
async fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}
