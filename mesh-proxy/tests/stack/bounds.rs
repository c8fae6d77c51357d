//! No label takes a value from a request: whatever callers make up, a sidecar's page
//! has the same series before and after.

use std::{fs, net::SocketAddr};

use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mesh_telemetry::task;
use tokio::net::TcpStream;

use crate::{
    process::{Folder, Ports, Running},
    support::{AnyBody, App, full, get, send, within},
};

const ODD: u64 = 10_000;
/// Enough for every kind of request below to have come in at both sides.
const FIRST: u64 = 1_000;
const CONNECTIONS: u64 = 4;

async fn started(folder: &Folder, ports: Ports, inbound: SocketAddr, app: &App) -> Running {
    let [outbound, admin, metrics] = ports.0;
    let address = app.address;
    let file = format!(
        "
service: orders
instance: orders-1
outbound: {{ listen: '{outbound}' }}
inbound: {{ listen: '{inbound}', application: '{address}' }}
admin: {admin}
metrics: {metrics}
policy:
  clusters: {{ payments: {{ endpoints: ['{address}'] }} }}
  routes:
    - {{ name: charges, match: {{ authority: payments, path_prefix: /charges }}, cluster: payments }}
    - {{ name: payments, match: {{ authority: payments }}, cluster: payments }}
"
    );
    fs::write(folder.file(), file).unwrap();
    Running::start(&folder.file(), ports, &[]).await
}

/// Numbers that look like none, the same in every run.
fn scrambled(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The `number`-th request: its kind repeats, what it says does not.
fn odd(number: u64) -> Request<AnyBody> {
    let made_up = scrambled(number);
    let method = match number % 5 {
        0 => Method::GET,
        1 => Method::POST,
        2 => Method::OPTIONS,
        _ => Method::from_bytes(format!("BREW-{made_up:x}").as_bytes()).unwrap(),
    };
    let path = match number / 5 % 5 {
        0 => format!("/charges/{made_up}"),
        1 => format!("/{made_up:x}?user={made_up}"),
        2 => format!("/%c3%a4/{made_up}/../{number}"),
        3 => format!("//{made_up};v={number}"),
        _ => format!("/charges/%2e%2e/{made_up}%00"),
    };
    let host = match number / 25 % 3 {
        0 => "payments".to_owned(),
        1 => format!("shop-{made_up:x}.example:{}", made_up % 60_000 + 1),
        _ => format!("10.0.{}.{}", made_up % 255, number % 255),
    };
    let trace = u128::from(made_up) << 64 | 1;
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .header(
            "baggage",
            format!("k{made_up}=v{number},mesh.chaos=r{made_up}"),
        )
        .header(
            "traceparent",
            format!("00-{trace:032x}-{:016x}-01", made_up | 1),
        )
        .header("tracestate", format!("v{made_up}=1"))
        .header("b3", format!("{made_up:016x}-{made_up:016x}-1"))
        .header("user-agent", format!("browser/{made_up}"))
        .header("x-mesh-source", format!("service-{made_up}"))
        .header("x-mesh-reason", format!("because-{made_up}"))
        .header("x-mesh-attempt", (made_up % 1000).to_string())
        .header("x-forwarded-for", format!("10.1.2.{}", number % 255))
        .header("grpc-status", (made_up % 1000).to_string())
        .body(full(""))
        .unwrap()
}

/// A connection that is made again when the other side has closed it.
struct Caller {
    to: SocketAddr,
    open: Option<SendRequest<AnyBody>>,
}

impl Caller {
    async fn send(&mut self, request: Request<AnyBody>) {
        let ready = match &mut self.open {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream = TcpStream::connect(self.to).await.unwrap();
            let (open, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            task::spawn("odd_caller", connection);
            self.open = Some(open);
        }
        let open = self.open.as_mut().unwrap();
        let sent = open.send_request(request).await;
        if sent.is_err() || sent.unwrap().into_body().collect().await.is_err() {
            self.open = None;
        }
    }
}

/// Sends these requests to both sides, some at a time.
async fn flood(sides: [SocketAddr; 2], numbers: std::ops::Range<u64>) {
    let mut callers = tokio::task::JoinSet::new();
    for first in 0..CONNECTIONS {
        let numbers = numbers.clone();
        callers.spawn(async move {
            let mut of_side = sides.map(|to| Caller { to, open: None });
            for number in numbers.filter(|number| number % CONNECTIONS == first) {
                // Both see every kind: kinds repeat after 75.
                of_side[usize::from(number / 75 % 2 == 1)]
                    .send(odd(number))
                    .await;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
}

/// Series of the page, and how many requests they count.
async fn counted(metrics: SocketAddr) -> (Vec<String>, f64) {
    let page = within(send(metrics, get("localhost", "/metrics"))).await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<_> = samples.filter_map(|line| line.rsplit_once(' ')).collect();
    // What is not well-formed is counted on its own.
    let of_requests = |series: &str| {
        let names = ["mesh_requests_total{", "mesh_requests_malformed_total{"];
        names.iter().any(|name| series.starts_with(name))
    };
    let requests = samples.iter().filter(|(series, _)| of_requests(series));
    let sum = requests
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum();
    let mut series: Vec<_> = samples
        .iter()
        .map(|(series, _)| (*series).to_owned())
        .collect();
    series.sort();
    (series, sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_odd_requests_leave_no_series_behind() {
    let (folder, ports, app) = (Folder::new("bounds"), Ports::free(), App::fine().await);
    let inbound = Ports::free().0[0];
    let running = started(&folder, ports, inbound, &app).await;
    let sides = [ports.0[0], inbound];
    flood(sides, 0..FIRST).await;
    let (before, requests_before) = counted(ports.0[2]).await;
    flood(sides, FIRST..FIRST + ODD).await;
    let (after, requests_after) = counted(ports.0[2]).await;
    assert_eq!(before, after);
    // A connection that was just closed under a request loses that one; no more.
    let counted = requests_after - requests_before;
    assert!(counted >= ODD as f64 * 0.95, "only {counted} were counted");
    assert!(before.len() < 2000, "{} series", before.len());
    running.stop();
}
