//! A bad node, seen by its callers: connections that really break, single instances,
//! connections that are refused where they are made.

use std::io::ErrorKind;

use http::StatusCode;
use mesh_proxy::config::Policy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    peers::http2,
    support::{App, Proxy, config, ended, get, policy, send, within},
};

const CALLER: &str = "
clusters: { payments: { endpoints: [$node], consecutive_failures: 0$more } }
routes:
  - { name: payments, match: { authority: payments }, cluster: payments, retry: { attempts: 2, on: [reset] } }
chaos: [$rule]
";

fn rules(rule: &str) -> Policy {
    policy(&format!("chaos: [{rule}]"), &[])
}

const RESET: &str = "{ id: cut, where: payments, match: { path: /cut }, reset: true }";

#[tokio::test]
async fn a_reset_at_a_node_breaks_the_callers_connection_without_an_answer() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, rules(RESET));
    let mut stream = TcpStream::connect(node.inn()).await.unwrap();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: payments\r\n\r\n");
    stream.write_all(ask("/").as_bytes()).await.unwrap();
    let mut fine = [0; 15];
    within(stream.read_exact(&mut fine)).await.unwrap();
    assert_eq!(&fine, b"HTTP/1.1 200 OK");
    stream.write_all(ask("/cut").as_bytes()).await.unwrap();
    let error = within(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(app.count(), 1, "it never reached the application");
}

#[tokio::test]
async fn a_severed_request_still_says_what_happened() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, rules(RESET));
    let mut stream = TcpStream::connect(node.inn()).await.unwrap();
    let ask = b"GET /cut HTTP/1.1\r\nhost: payments\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    assert!(within(stream.read_to_end(&mut Vec::new())).await.is_err());
    let record = ended(&node).await;
    for part in [
        "mesh.reason=fault_reset",
        "mesh.response_flags=FI",
        "mesh.fault rule=cut fault=reset",
    ] {
        assert!(record.contains(part), "no `{part}` in\n{record}");
    }
    assert!(!record.contains("http.response.status_code"), "{record}");
}

#[tokio::test]
async fn on_http2_the_stream_alone_is_reset() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, rules(RESET));
    let mut client = http2(node.inn()).await;
    let mut ask =
        |path: &str| client.send_request(get("payments", &format!("http://payments{path}")));
    let cut = within(ask("/cut")).await;
    assert!(cut.is_err(), "there is no answer");
    let fine = within(ask("/")).await;
    assert_eq!(fine.unwrap().status(), StatusCode::OK, "the connection is");
}

#[tokio::test]
async fn a_callers_sidecar_takes_a_severed_connection_for_a_reset() {
    for protocol in ["http1", "http2"] {
        let app = App::fine().await;
        let node = Proxy::inbound(
            app.address,
            rules("{ id: cut, where: payments, first_attempts: 1, reset: true }"),
        );
        let yaml = CALLER
            .replace("$more", &format!(", protocol: {protocol}"))
            .replace("$rule", "");
        let caller = Proxy::outbound(policy(&yaml, &[("node", node.inn())]));
        let answer = within(send(caller.out(), get("payments", "/"))).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{protocol}: the retry saves it"
        );
        assert_eq!(caller.votes("payments").await, (1, 1), "{protocol}");
        let record = ended(&caller).await;
        assert!(record.contains("condition=reset"), "{protocol}: {record}");
        assert!(record.contains("error.type=upstream_reset"), "{record}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_refuses_is_refused_at_its_callers_and_not_at_itself() {
    let rule = "{ id: gone, where: payments, refuse: true }";
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, rules(rule));
    let direct = send(node.inn(), get("payments", "/")).await;
    assert_eq!(direct.status, StatusCode::OK, "who gets there is served");
    let yaml = CALLER.replace("$more", "").replace("$rule", rule);
    let caller = Proxy::outbound(policy(&yaml, &[("node", node.inn())]));
    let refused = send(caller.out(), get("payments", "/")).await;
    let got = (refused.status.as_u16(), refused.reason());
    assert_eq!(got, (503, "fault_refuse"));
    assert_eq!(app.count(), 1);
    assert_eq!(caller.votes("payments").await, (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_an_instance_strikes_this_instance_alone() {
    let app = App::fine().await;
    let policy = || rules("{ id: one, where: payments-2, abort: 503 }");
    for (instance, status) in [("payments-1", 200), ("payments-2", 503)] {
        let mut config = config("payments", Some(app.address), policy());
        config.instance = instance.to_owned();
        let node = Proxy::start(config);
        let answer = send(node.inn(), get("payments", "/")).await;
        assert_eq!(answer.status, status, "{instance}");
    }
}

#[tokio::test]
async fn a_hanging_node_answers_as_soon_as_the_rule_is_taken_back() {
    let app = App::fine().await;
    let node = Proxy::inbound(
        app.address,
        rules("{ id: stuck, where: payments, hang: true }"),
    );
    let held = mesh_telemetry::task::spawn("held", send(node.inn(), get("payments", "/")));
    while node.admin("/chaos").await["rules"][0]["receipt"]["held"] != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.count(), 0);
    node.sidecar.apply(2, Policy::default()).unwrap();
    assert_eq!(within(held).await.unwrap().status, StatusCode::OK);
    let record = ended(&node).await;
    assert!(record.contains("fault=hang"), "{record}");
    assert!(record.contains("mesh.response_flags=DI"), "{record}");
}
