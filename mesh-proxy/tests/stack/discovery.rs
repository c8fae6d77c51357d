//! Endpoints found by name, against a name server of this test.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, SRV},
    },
};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    time::sleep,
};

use crate::support::{App, FREE, Proxy, get, policy, send, text, within};

/// What the name server says.
#[derive(Clone)]
pub(crate) enum Reply {
    Records(Vec<Record>),
    NoSuchName,
    Broken,
}

/// A name server on loopback.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<(Reply, usize)>>,
}

impl NameServer {
    pub(crate) async fn saying(records: Vec<Record>) -> Self {
        let socket = UdpSocket::bind(FREE).await.unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Mutex::new((Reply::Records(records), 0)));
        let shared = Arc::clone(&state);
        mesh_telemetry::task::spawn("name_server", async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let reply = {
                    let mut state = shared.lock().unwrap();
                    state.1 += 1;
                    state.0.clone()
                };
                let _ = socket.send_to(&answer(&query, reply), peer).await;
            }
        });
        Self { address, state }
    }

    pub(crate) fn say(&self, reply: Reply) {
        self.state.lock().unwrap().0 = reply;
    }

    fn asked(&self) -> usize {
        self.state.lock().unwrap().1
    }

    /// Waits until it was asked so many times more.
    async fn asked_again(&self, times: usize) {
        let wanted = self.asked() + times;
        while self.asked() < wanted {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn answer(query: &Message, reply: Reply) -> Vec<u8> {
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    let question = query.queries[0].clone();
    match reply {
        Reply::Records(records) => {
            let wanted = records.into_iter().filter(|record| {
                &record.name == question.name() && record.record_type() == question.query_type()
            });
            message.add_answers(wanted);
        }
        Reply::NoSuchName => message.metadata.response_code = ResponseCode::NXDomain,
        Reply::Broken => message.metadata.response_code = ResponseCode::ServFail,
    }
    message.add_query(question);
    message.to_vec().unwrap()
}

pub(crate) fn address(name: &str, ip: [u8; 4]) -> Record {
    let name = Name::from_ascii(name).unwrap();
    Record::from_rdata(name, 0, RData::A(A(Ipv4Addr::from(ip))))
}

pub(crate) fn service(name: &str, priority: u16, weight: u16, port: u16, target: &str) -> Record {
    let target = Name::from_ascii(target).unwrap();
    let data = SRV::new(priority, weight, port, target);
    Record::from_rdata(Name::from_ascii(name).unwrap(), 0, RData::SRV(data))
}

/// Answers everything with its own address, at this one.
async fn instance(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = address.ip().to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    mesh_telemetry::task::spawn("instance", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Two instances with one port, on two addresses of loopback.
async fn two_instances() -> u16 {
    loop {
        let first = instance(FREE).await;
        let other = SocketAddr::new(IpAddr::from([127, 0, 0, 2]), first.port());
        if std::net::TcpListener::bind(other).is_ok() {
            instance(other).await;
            return first.port();
        }
    }
}

fn by_address(server: &NameServer, port: u16) -> Proxy {
    let yaml = format!(
        "
clusters:
  payments:
    dns: {{ name: payments.test., record: address, port: {port}, min_ttl: 20ms, server: '{}' }}
    connect_timeout: 30s
routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 50s }}]
",
        server.address
    );
    Proxy::outbound(policy(&yaml, &[]))
}

async fn body(proxy: &Proxy) -> String {
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_endpoints_follow_the_name_and_the_first_request_waits_for_them() {
    let port = two_instances().await;
    let server = NameServer::saying(vec![address("payments.test.", [127, 0, 0, 1])]).await;
    let proxy = by_address(&server, port);
    assert_eq!(body(&proxy).await, "127.0.0.1");
    let endpoint = &proxy.admin("/clusters").await[0]["endpoints"][0];
    assert_eq!(
        (&endpoint["source"], &endpoint["address"]),
        (&"dns".into(), &format!("127.0.0.1:{port}").into())
    );
    server.say(Reply::Records(vec![address(
        "payments.test.",
        [127, 0, 0, 2],
    )]));
    within(async {
        while body(&proxy).await != "127.0.0.2" {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let clusters = proxy.admin("/clusters").await;
    assert_eq!(clusters[0]["endpoints"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_fails_or_is_gone_leaves_the_last_good_answer_in_force() {
    let port = two_instances().await;
    let server = NameServer::saying(vec![address("payments.test.", [127, 0, 0, 1])]).await;
    let proxy = by_address(&server, port);
    assert_eq!(body(&proxy).await, "127.0.0.1");
    for reply in [Reply::NoSuchName, Reply::Records(Vec::new()), Reply::Broken] {
        server.say(reply);
        within(server.asked_again(3)).await;
        assert_eq!(body(&proxy).await, "127.0.0.1");
    }
}

#[tokio::test]
async fn a_name_that_never_was_fails_fast_and_with_a_reason() {
    let server = NameServer::saying(Vec::new()).await;
    let proxy = by_address(&server, 1);
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::SERVICE_UNAVAILABLE, "no_healthy_upstream")
    );
}

#[tokio::test]
async fn services_bring_their_ports_and_the_second_rank_waits_for_the_first_to_fail() {
    let first = App::failing(StatusCode::INTERNAL_SERVER_ERROR).await;
    let second = App::answering(|_, _| text(StatusCode::OK, "second")).await;
    let local = |name| address(name, [127, 0, 0, 1]);
    let name = "_http._tcp.payments.test.";
    let server = NameServer::saying(vec![
        service(name, 10, 5, first.address.port(), "a.test."),
        service(name, 20, 5, second.address.port(), "b.test."),
        local("a.test."),
        local("b.test."),
    ])
    .await;
    let yaml = format!(
        "
clusters:
  payments:
    dns: {{ name: {name}, record: srv, server: '{}' }}
    connect_timeout: 30s
    consecutive_failures: 3
    ejection: 10m
routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 50s }}]
",
        server.address
    );
    let proxy = Proxy::outbound(policy(&yaml, &[]));
    for _ in 0..3 {
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(second.count(), 0);
    assert_eq!(body(&proxy).await, "second");
    assert_eq!(first.count(), 3);
}
