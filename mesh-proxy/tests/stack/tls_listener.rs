//! TLS of the inbound listener, seen by callers who are no sidecars.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mesh_proxy::config::ListenerTls;
use mesh_telemetry::task;
use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    pki::{Pair, Pki, id},
    support::{Answer, AnyBody, App, Proxy, config, get, policy, send, within},
};

const CALLERS: &str = "inbound: { callers: [orders] }";

/// The inbound side of `payments` with this listener.
fn payments(app: &App, tls: ListenerTls) -> Proxy {
    let mut config = config("payments", Some(app.address), policy(CALLERS, &[]));
    config.inbound.as_mut().unwrap().tls = Some(tls);
    Proxy::start(config)
}

fn server(pki: &Pki) -> Pair {
    pki.issue("payments", &[&id("payments"), "localhost"])
}

async fn connect(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::clone(client)).connect(name, stream)).await
}

async fn exchange(
    stream: TlsStream<TcpStream>,
    request: Request<AnyBody>,
) -> hyper::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    task::spawn("test_client", connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// Asks over a connection of its own.
pub(crate) async fn ask(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    request: Request<AnyBody>,
) -> Answer {
    let stream = connect(address, client).await.unwrap();
    exchange(stream, request).await.unwrap()
}

#[tokio::test]
async fn a_callers_certificate_says_who_it_is_whatever_it_claims() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(Some(pki.ca())));
    let client = pki.client(Some(&pki.service("orders")));
    let stream = connect(proxy.inn(), &client).await.unwrap();
    let mut request = get("payments", "/charge");
    let headers = request.headers_mut();
    headers.insert("x-mesh-source", "somebody-else".parse().unwrap());
    let answer = within(exchange(stream, request)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(app.seen()[0].headers["x-mesh-source"], "orders");
    let record = &proxy.records(1).await[0];
    for part in [
        "mesh.source=orders",
        "url.scheme=https",
        "tls.protocol.version=1.3",
        "mesh.peer_identity=spiffe://example.org/ns/default/sa/orders",
    ] {
        assert!(record.contains(part), "{part} missing in {record}");
    }
}

#[tokio::test]
async fn without_a_client_ca_a_caller_needs_no_certificate_and_its_claim_is_taken() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(None));
    let stream = connect(proxy.inn(), &pki.client(None)).await.unwrap();
    let mut request = get("payments", "/charge");
    let headers = request.headers_mut();
    headers.insert("x-mesh-source", "orders".parse().unwrap());
    let answer = within(exchange(stream, request)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(proxy.records(1).await[0].contains("mesh.source=orders"));
}

#[tokio::test]
async fn a_certificate_without_a_service_is_nobody_in_the_mesh() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(Some(pki.ca())));
    let client = pki.client(Some(&pki.issue("odd", &["spiffe://example.org/orders"])));
    let stream = connect(proxy.inn(), &client).await.unwrap();
    let mut request = get("payments", "/charge");
    let headers = request.headers_mut();
    headers.insert("x-mesh-source", "orders".parse().unwrap());
    within(exchange(stream, request)).await.unwrap();
    assert!(!app.seen()[0].headers.contains_key("x-mesh-source"));
    assert!(proxy.records(1).await[0].contains("mesh.source=external"));
}

/// A refusal of the client's certificate arrives after its side of the handshake.
async fn is_refused(proxy: &Proxy, client: &Arc<ClientConfig>) -> bool {
    match connect(proxy.inn(), client).await {
        Err(_) => true,
        Ok(stream) => within(exchange(stream, get("payments", "/")))
            .await
            .is_err(),
    }
}

#[tokio::test]
async fn callers_without_a_sound_certificate_are_refused() {
    let (app, pki, other) = (App::fine().await, Pki::new(), Pki::new());
    let proxy = payments(&app, server(&pki).listener(Some(pki.ca())));
    let expired = pki.issue_with("expired", &[&id("orders")], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let stranger = other.service("orders");
    for shown in [None, Some(&expired), Some(&stranger)] {
        assert!(is_refused(&proxy, &pki.client(shown)).await);
    }
    assert_eq!(app.count(), 0);
    assert!(!is_refused(&proxy, &pki.client(Some(&pki.service("orders")))).await);
}

#[tokio::test]
async fn plain_text_on_a_strict_port_is_told_why_and_goes_no_further() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(None));
    let answer = within(send(proxy.inn(), get("payments", "/"))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.reason(), "tls_required");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_permissive_port_takes_both() {
    let (app, pki) = (App::fine().await, Pki::new());
    let mut tls = server(&pki).listener(Some(pki.ca()));
    tls.permissive = true;
    let proxy = payments(&app, tls);
    let plain = within(send(proxy.inn(), get("payments", "/"))).await;
    assert_eq!(plain.status, StatusCode::OK);
    let client = pki.client(Some(&pki.service("orders")));
    let stream = connect(proxy.inn(), &client).await.unwrap();
    let secured = within(exchange(stream, get("payments", "/")))
        .await
        .unwrap();
    assert_eq!(secured.status, StatusCode::OK);
    let records = proxy.records(2).await;
    assert!(!records[0].contains("tls.protocol"), "{}", records[0]);
    assert!(records[1].contains("tls.protocol"), "{}", records[1]);
}

/// A `ClientHello` without the extension that offers TLS 1.3.
fn hello_of_tls_1_2() -> Vec<u8> {
    let mut body = vec![3, 3]; // version 1.2
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0, 2, 0xc0, 0x2f]); // one suite: ECDHE-RSA-AES128-GCM-SHA256
    body.extend([1, 0]); // no compression
    let groups = [0, 10, 0, 4, 0, 2, 0, 23]; // secp256r1
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3]; // ecdsa_secp256r1_sha256
    let points = [0, 11, 0, 2, 1, 0];
    let extensions = [&groups[..], &signatures[..], &points[..]].concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]); // ClientHello
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_refused() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(None));
    let mut stream = TcpStream::connect(proxy.inn()).await.unwrap();
    stream.write_all(&hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    let (alert, fatal, protocol_version) = (0x15, 2, 70);
    assert_eq!(answer[0], alert, "{answer:?}");
    assert_eq!(answer[5..7], [fatal, protocol_version], "{answer:?}");
}

#[tokio::test]
async fn a_session_is_resumed_and_keeps_its_identity() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(Some(pki.ca())));
    let client = pki.client(Some(&pki.service("orders")));
    for wanted in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = connect(proxy.inn(), &client).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(wanted));
        within(exchange(stream, get("payments", "/")))
            .await
            .unwrap();
        assert!(proxy.records(1).await[0].contains("mesh.source=orders"));
    }
    assert_eq!(app.count(), 2);
}

#[tokio::test]
async fn who_never_finishes_a_handshake_holds_nobody_up() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(None));
    let _silent = TcpStream::connect(proxy.inn()).await.unwrap();
    let mut half = TcpStream::connect(proxy.inn()).await.unwrap();
    half.write_all(&hello_of_tls_1_2()[..20]).await.unwrap();
    let stream = connect(proxy.inn(), &pki.client(None)).await.unwrap();
    let answer = within(exchange(stream, get("payments", "/")))
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    // Nor does it hold up the end of the sidecar.
    let drained = tokio::time::timeout(Duration::from_secs(4), proxy.sidecar.drain());
    drained.await.unwrap();
}

#[tokio::test]
async fn a_replaced_certificate_serves_new_connections_and_disturbs_none() {
    let (app, pki) = (App::fine().await, Pki::new());
    let proxy = payments(&app, server(&pki).listener(None));
    let client = pki.client(None);
    let shown =
        |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let old = connect(proxy.inn(), &client).await.unwrap();
    let first = shown(&old);
    server(&pki); // the same files anew
    proxy.sidecar.refresh_certificates();
    let new = connect(proxy.inn(), &client).await.unwrap();
    assert_ne!(shown(&new), first);
    for stream in [old, new] {
        let answer = within(exchange(stream, get("payments", "/")))
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_replacement_that_cannot_be_used_changes_nothing() {
    let (app, pki) = (App::fine().await, Pki::new());
    let pair = server(&pki);
    let proxy = payments(&app, pair.listener(None));
    std::fs::write(&pair.certificate, "no certificate").unwrap();
    proxy.sidecar.refresh_certificates();
    let stream = connect(proxy.inn(), &pki.client(None)).await.unwrap();
    let answer = within(exchange(stream, get("payments", "/")))
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}
