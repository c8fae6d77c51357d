//! Applications, callers and sidecars for the tests.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming, client::conn::http1, server::conn::http1 as server, service::service_fn,
};
use hyper_util::rt::TokioIo;
use mesh_proxy::{
    Sidecar,
    config::{
        FaultKind, InboundListener, OutboundListener, Policy, SidecarConfig, TelemetryConfig,
    },
};
use mesh_telemetry::{Readiness, proxy::Sink, task};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{Sender, channel},
};

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) const FREE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// What an application was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: http::Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An application: a real server that writes down what it is asked.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl App {
    /// Reads each request to its end and answers with what `answer` says to the n-th, from 1.
    pub(crate) async fn answering(
        answer: impl Fn(usize, &Seen) -> Response<AnyBody> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let address = serve(move |request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes);
                let one = Seen {
                    method: head.method,
                    uri: head.uri,
                    version: head.version,
                    headers: head.headers,
                    body: body.unwrap_or_default(),
                };
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(one.clone());
                    log.len()
                };
                answer(number, &one)
            }
        })
        .await;
        Self { address, seen }
    }

    /// Answers 200 and `ok`.
    pub(crate) async fn fine() -> Self {
        Self::answering(|_, _| text(StatusCode::OK, "ok")).await
    }

    /// Answers everything with this status.
    pub(crate) async fn failing(status: StatusCode) -> Self {
        Self::answering(move |_, _| text(status, "no")).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// Serves a handler on a free port, for as long as the test's runtime lives.
pub(crate) async fn serve<F, Fut>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let listener = TcpListener::bind(FREE).await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn("test_app", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            task::spawn("test_connection", async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ = server::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

pub(crate) fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body whose frames are sent by hand.
pub(crate) fn by_hand() -> (Sender<Result<Frame<Bytes>, std::io::Error>>, AnyBody) {
    let (sender, mut frames) = channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
    (sender, StreamBody::new(stream).boxed_unsync())
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<AnyBody> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn reason(&self) -> &str {
        self.headers
            .get("x-mesh-reason")
            .map_or("none", |reason| reason.to_str().unwrap())
    }
}

/// Sends a request over a connection of its own.
pub(crate) async fn open(
    address: SocketAddr,
    request: Request<AnyBody>,
) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    task::spawn("test_client", connection);
    sender.send_request(request).await
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(address: SocketAddr, request: Request<AnyBody>) -> Answer {
    let (head, body) = open(address, request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) fn get(host: &str, path: &str) -> Request<AnyBody> {
    Request::get(path)
        .header("host", host)
        .body(full(""))
        .unwrap()
}

pub(crate) fn post(host: &str, path: &str, body: impl Into<Bytes>) -> Request<AnyBody> {
    Request::post(path)
        .header("host", host)
        .body(full(body))
        .unwrap()
}

/// A policy from YAML in which `$name` stands for the address of an application.
pub(crate) fn policy(yaml: &str, apps: &[(&str, SocketAddr)]) -> Policy {
    let yaml = apps.iter().fold(yaml.to_owned(), |yaml, (name, address)| {
        yaml.replace(&format!("${name}"), &address.to_string())
    });
    serde_saphyr::from_str(&yaml).unwrap()
}

/// A sidecar and the records of what passed it.
pub(crate) struct Proxy {
    pub(crate) sidecar: Sidecar,
    pub(crate) sink: Sink,
    pub(crate) readiness: Readiness,
}

impl Proxy {
    /// Outbound side of `orders`.
    pub(crate) fn outbound(policy: Policy) -> Self {
        Self::start(config("orders", None, policy))
    }

    /// Inbound side of `payments`, in front of this application.
    pub(crate) fn inbound(application: SocketAddr, policy: Policy) -> Self {
        Self::start(config("payments", Some(application), policy))
    }

    pub(crate) fn start(config: SidecarConfig) -> Self {
        let (sink, readiness) = (Sink::disconnected(), Readiness::default());
        let sidecar = Sidecar::start(config, sink.clone(), readiness.clone()).unwrap();
        Self {
            sidecar,
            sink,
            readiness,
        }
    }

    pub(crate) fn out(&self) -> SocketAddr {
        self.sidecar.outbound_address().unwrap()
    }

    pub(crate) fn inn(&self) -> SocketAddr {
        self.sidecar.inbound_address().unwrap()
    }

    /// `GET` of the admin API.
    pub(crate) async fn admin(&self, path: &str) -> serde_json::Value {
        let answer = send(self.sidecar.admin_address(), get("localhost", path)).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Successes and failures that the breakers of a cluster have counted.
    pub(crate) async fn votes(&self, cluster: &str) -> (u64, u64) {
        let clusters = self.admin("/clusters").await;
        let cluster = clusters
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == cluster);
        let endpoints = cluster.unwrap()["endpoints"].as_array().unwrap();
        let sum = |key: &str| {
            endpoints
                .iter()
                .map(|endpoint| endpoint[key].as_u64().unwrap())
                .sum()
        };
        (sum("successes"), sum("failures"))
    }

    /// The finished requests as text; waits until there are so many.
    pub(crate) async fn records(&self, count: usize) -> Vec<String> {
        let mut records = Vec::new();
        for _ in 0..1000 {
            records.extend(
                self.sink
                    .take()
                    .iter()
                    .map(mesh_telemetry::proxy::FinishedRequest::describe),
            );
            if records.len() >= count {
                return records;
            }
            tokio::task::yield_now().await;
        }
        panic!("expected {count} records, there are {records:#?}");
    }
}

/// The record of the one request, as soon as it has ended.
pub(crate) async fn ended(proxy: &Proxy) -> String {
    loop {
        if let Some(record) = proxy.sink.take().first() {
            return record.describe();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A sidecar on free ports: inbound when there is an application, else outbound.
pub(crate) fn config(
    service: &str,
    application: Option<SocketAddr>,
    policy: Policy,
) -> SidecarConfig {
    SidecarConfig {
        service: service.to_owned(),
        instance: format!("{service}-1"),
        inbound: application.map(|application| InboundListener::new(FREE, application)),
        outbound: application.is_none().then_some(OutboundListener::new(FREE)),
        admin: FREE,
        metrics: FREE,
        workers: 1,
        access_log: None,
        control: None,
        guest: false,
        telemetry: TelemetryConfig::default(),
        policy,
    }
}

/// A `traceparent` whose trace makes this fault of the rule strike at attempts as
/// `wanted` says.
pub(crate) fn trace_that(rule: &str, fault: FaultKind, percent: f64, wanted: &[bool]) -> String {
    let hit = |trace: u128, attempt: usize| {
        let attempt = u32::try_from(attempt).unwrap() + 1;
        mesh_proxy::redraw(0, rule, fault, trace.to_be_bytes(), attempt) * 100.0 < percent
    };
    let trace = (1..100_000_u128)
        .find(|&trace| {
            wanted
                .iter()
                .enumerate()
                .all(|(n, &wanted)| hit(trace, n) == wanted)
        })
        .unwrap();
    format!("00-{trace:032x}-00f067aa0ba902b7-01")
}

/// Long enough for anything but a hang; with a paused clock it costs nothing.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future)
        .await
        .expect("it hangs")
}
