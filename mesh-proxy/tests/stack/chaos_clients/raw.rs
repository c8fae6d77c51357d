//! A client that sees everything: heads, frames, how a connection ends.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{PRODUCTS, Struck, edge, node};
use crate::{
    peers::http2,
    support::{AnyBody, ended, full, get, open, policy, within},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Http {
    One,
    Two,
}

const BOTH: [Http; 2] = [Http::One, Http::Two];

/// What came of a request.
#[derive(Debug)]
struct Outcome {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// How the body broke off, if it did.
    broke: Option<hyper::Error>,
    took: Duration,
}

impl Outcome {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn reason(&self) -> &str {
        self.header("x-mesh-reason")
    }
}

async fn ask(address: SocketAddr, http: Http) -> hyper::Result<Outcome> {
    let begin = Instant::now();
    let response = match http {
        Http::One => within(open(address, get("payments", "/products"))).await?,
        Http::Two => {
            let request: Request<AnyBody> = Request::get("http://payments/products")
                .body(full(""))
                .unwrap();
            within(http2(address).await.send_request(request)).await?
        }
    };
    Ok(within(read(response, begin)).await)
}

async fn read(response: http::Response<Incoming>, begin: Instant) -> Outcome {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut broke) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(error) => broke = Some(error),
        }
        if broke.is_some() {
            break;
        }
    }
    Outcome {
        status: head.status,
        headers: head.headers,
        body: bytes.into(),
        broke,
        took: begin.elapsed(),
    }
}

/// The same fault on an edge and at a node, over both protocols.
async fn everywhere(faults: &str, check: impl Fn(&Outcome, &str)) {
    for (struck, place) in [(edge(faults).await, "edge"), (node(faults).await, "node")] {
        for http in BOTH {
            let outcome = ask(struck.address, http).await.unwrap();
            check(&outcome, &format!("{place}, {http:?}: {outcome:#?}"));
        }
    }
}

fn is_whole(outcome: &Outcome) -> bool {
    outcome.status == StatusCode::OK && outcome.broke.is_none() && outcome.body == PRODUCTS
}

#[tokio::test]
async fn a_delay_is_waited_before_the_answer() {
    everywhere("delay: 300ms", |seen, shown| {
        assert!(is_whole(seen), "{shown}");
        assert!(seen.took >= Duration::from_millis(300), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn an_abort_is_an_answer_with_the_words_of_the_rule() {
    everywhere("abort: 503", |seen, shown| {
        assert_eq!(
            (seen.status.as_u16(), seen.reason()),
            (503, "fault_abort"),
            "{shown}"
        );
    })
    .await;
    let words = "abort: { status: 418, body: '{\"tea\":true}' }";
    everywhere(words, |seen, shown| {
        assert_eq!(
            (seen.status.as_u16(), &*seen.body),
            (418, &b"{\"tea\":true}"[..]),
            "{shown}"
        );
        assert_eq!(seen.header("content-type"), "application/json", "{shown}");
    })
    .await;
}

#[tokio::test]
async fn on_an_edge_a_reset_and_a_refused_connection_are_the_sidecars_answers() {
    for (faults, status, reason) in [
        ("reset: true", 502, "fault_reset"),
        ("refuse: true", 503, "fault_refuse"),
    ] {
        let struck = edge(faults).await;
        for http in BOTH {
            let seen = ask(struck.address, http).await.unwrap();
            assert_eq!(
                (seen.status.as_u16(), seen.reason()),
                (status, reason),
                "{seen:?}"
            );
        }
        assert_eq!(struck.app.count(), 0);
    }
}

#[tokio::test]
async fn at_a_node_a_reset_breaks_the_connection_of_http1() {
    let struck = node("reset: true").await;
    let mut stream = TcpStream::connect(struck.address).await.unwrap();
    stream
        .write_all(b"GET /products HTTP/1.1\r\nhost: payments\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    let end = within(stream.read_to_end(&mut bytes)).await;
    assert!(bytes.is_empty(), "no answer, but: {bytes:?}");
    let error = end.expect_err("reset, and not closed in order");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(struck.app.count(), 0);
}

#[tokio::test]
async fn at_a_node_a_reset_breaks_one_stream_of_http2() {
    let struck = node("reset: true, match: { path: /bad }").await;
    let mut sender = http2(struck.address).await;
    let to = |path: &str| {
        let uri = format!("http://payments{path}");
        Request::get(uri).body(full("")).unwrap()
    };
    let error = within(sender.send_request(to("/bad"))).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    let cause: &h2::Error = cause.unwrap_or_else(|| panic!("no reset, but {error:?}"));
    assert!(cause.is_reset() && cause.is_remote(), "{cause:?}");
    let other = within(sender.send_request(to("/good"))).await.unwrap();
    assert_eq!(other.status(), StatusCode::OK, "the connection goes on");
}

#[tokio::test]
async fn a_hang_holds_the_caller_until_the_rule_is_gone() {
    for struck in [edge("hang: true").await, node("hang: true").await] {
        let patience = timeout(Duration::from_millis(200), ask(struck.address, Http::One));
        assert!(patience.await.is_err(), "there was an answer");
        within(async {
            while struck.held().await > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await; // whoever loses patience is let go of
        let held = mesh_telemetry::task::spawn("held", ask(struck.address, Http::Two));
        within(async {
            while struck.held().await == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        struck.lift();
        let seen = within(held).await.unwrap().unwrap();
        assert!(is_whole(&seen), "{seen:?}");
    }
}

#[tokio::test]
async fn headers_are_changed_on_their_way_out_and_back() {
    let faults = "request_headers: { set: { x-tag: chaos } }, \
        response_headers: { set: { x-new: b }, remove: [x-version] }";
    everywhere(faults, |seen, shown| {
        assert!(is_whole(seen), "{shown}");
        let headers = ["x-tag", "x-new", "x-version"].map(|name| seen.header(name));
        assert_eq!(headers, ["chaos", "b", ""], "{shown}");
    })
    .await;
}

#[tokio::test]
async fn pieces_of_a_body_are_waited_for_one_by_one() {
    everywhere("chunk_delay: 300ms", |seen, shown| {
        assert!(is_whole(seen), "{shown}");
        assert!(seen.took >= Duration::from_millis(300), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_throttled_body_comes_whole_and_late() {
    everywhere("throttle: 200B/s", |seen, shown| {
        assert!(is_whole(seen), "{shown}");
        let least = Duration::from_secs(1) * u32::try_from(PRODUCTS.len()).unwrap() / 200;
        assert!(seen.took >= least, "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_corrupted_body_is_as_long_as_it_was_and_no_json() {
    everywhere("corrupt: 64B", |seen, shown| {
        assert_eq!(seen.status, StatusCode::OK, "{shown}");
        assert!(seen.broke.is_none(), "{shown}");
        assert_eq!(seen.body.len(), PRODUCTS.len(), "{shown}");
        assert_ne!(seen.body, PRODUCTS, "{shown}");
        let json = serde_json::from_slice::<serde_json::Value>(&seen.body);
        assert!(json.is_err(), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_truncated_body_breaks_off_after_what_was_to_come() {
    everywhere("truncate: 20B", |seen, shown| {
        assert_eq!(seen.status, StatusCode::OK, "{shown}");
        assert_eq!(seen.header("content-length"), PRODUCTS.len().to_string());
        assert_eq!(seen.body, PRODUCTS[..20], "{shown}");
        assert!(seen.broke.is_some(), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn of_a_body_cut_at_once_the_head_arrives() {
    everywhere("truncate: 0B", |seen, shown| {
        assert_eq!(seen.status, StatusCode::OK, "{shown}");
        assert!(seen.body.is_empty() && seen.broke.is_some(), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_truncated_answer_of_an_attempt_is_a_failure_of_its_endpoint() {
    let struck = edge("truncate: 20B").await;
    ask(struck.address, Http::One).await.unwrap();
    let record = within(ended(&struck.proxy)).await;
    assert_eq!(struck.proxy.votes("payments").await, (0, 1), "{record}");
    assert!(
        record.contains("fault=truncate") && record.contains("bytes=20"),
        "{record}"
    );
    assert!(record.contains("fault_truncate"), "{record}");
}

#[tokio::test]
async fn through_two_sidecars_a_broken_answer_stays_broken() {
    for http in BOTH {
        let bad = node("truncate: 20B").await;
        let yaml = super::OUT.replace("$rule", "");
        let caller = crate::support::Proxy::outbound(policy(&yaml, &[("app", bad.address)]));
        let seen = ask(caller.out(), http).await.unwrap();
        assert_eq!(seen.body, PRODUCTS[..20], "{seen:?}");
        assert!(seen.broke.is_some(), "{seen:?}");
        let record = within(ended(&caller)).await;
        assert_eq!(caller.votes("payments").await, (0, 1), "{record}");
    }
}

#[tokio::test]
async fn through_two_sidecars_a_reset_node_is_a_broken_connection_for_its_caller() {
    for http in BOTH {
        let bad = node("reset: true").await;
        let yaml = super::OUT.replace("$rule", "");
        let caller = crate::support::Proxy::outbound(policy(&yaml, &[("app", bad.address)]));
        let seen = ask(caller.out(), http).await.unwrap();
        assert_eq!(
            (seen.status, seen.reason()),
            (StatusCode::BAD_GATEWAY, "upstream_reset"),
            "{seen:?}"
        );
        assert_eq!(caller.votes("payments").await, (0, 1));
    }
}

#[tokio::test]
async fn a_node_that_refuses_does_so_at_its_callers() {
    let struck = super::refusing_node().await;
    let seen = ask(struck.address, Http::One).await.unwrap();
    assert_eq!(
        (seen.status.as_u16(), seen.reason()),
        (503, "fault_refuse"),
        "{seen:?}"
    );
    assert_eq!(struck.app.count(), 0);
}

impl Struck {
    /// Requests that the rule holds now, as the sidecar's admin API says.
    async fn held(&self) -> u64 {
        let chaos = self.proxy.admin("/chaos").await;
        let held = &chaos["rules"][0]["receipt"]["held"];
        held.as_u64()
            .unwrap_or_else(|| panic!("no such count in {chaos}"))
    }

    /// Takes the rule back.
    fn lift(&self) {
        let yaml = if self.is_edge() {
            super::OUT.replace("$rule", "")
        } else {
            "chaos: []".to_owned()
        };
        let policy = policy(&yaml, &[("app", self.app.address)]);
        self.proxy.sidecar.apply(2, policy).unwrap();
    }

    fn is_edge(&self) -> bool {
        self.proxy.sidecar.outbound_address().is_some()
    }
}
