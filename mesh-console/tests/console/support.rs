//! A console of one's own, and a plain client.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesh_console::{Addresses, Clock, Console, ConsoleConfig, ConsoleError, mesh_file::MeshFile};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// More than any answer takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Two services with one call between them, and a rule that waits.
pub(crate) const MESH: &str = "mesh: test
ports: { console: 0, otlp_grpc: 0, otlp_http: 0, internal: 0 }
services: { front: { expose: 0, calls: [back] }, back: { instances: 2 } }
chaos: [ { id: waiting, where: back, abort: 503, enabled: false } ]";

/// A running console.
pub(crate) struct Running {
    pub(crate) at: Addresses,
    client: Client<HttpConnector, Full<Bytes>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ConsoleError>>,
}

/// Settings of a console on free ports.
pub(crate) fn config() -> ConsoleConfig {
    let mesh = MeshFile::parse(MESH).unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    ConsoleConfig {
        listen: free,
        otlp_grpc: free,
        otlp_http: free,
        ..ConsoleConfig::from_mesh(&mesh).unwrap()
    }
}

pub(crate) async fn start() -> Running {
    start_with(config()).await
}

pub(crate) async fn start_with(config: ConsoleConfig) -> Running {
    let console = Console::bind(config, Clock::System).await.unwrap();
    let at = console.addresses().unwrap();
    let shutdown = CancellationToken::new();
    let end = shutdown.clone();
    let task = mesh_telemetry::task::spawn("console", async move {
        console.serve(axum::Router::new(), end).await
    });
    Running {
        at,
        client: Client::builder(TokioExecutor::new()).build_http(),
        shutdown,
        task,
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let answer = timeout(PATIENCE, self.client.request(request)).await;
        answer.expect("an answer in time").unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(uri(self.at.page, path)).body(Full::default());
        read(self.send(request.unwrap()).await).await
    }

    /// A write with all that it needs.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(uri(self.at.page, path))
            .header("content-type", "application/json")
            .header("x-glassmesh", "1")
            .body(Full::from(body.to_string()));
        read(self.send(request.unwrap()).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.write(Method::POST, path, body).await
    }

    /// What a sidecar posts.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> http::Response<Incoming> {
        let request = Request::post(uri(self.at.page, path))
            .header("content-type", "application/json")
            .header("host", "console:4090")
            .body(Full::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn subscribe(&self, instance: &str, metrics: SocketAddr) -> Lines {
        let service = instance.split('-').next().unwrap();
        self.register(&registration(service, instance, metrics))
            .await
    }

    /// A guest that is called at this address, or only calls.
    pub(crate) async fn subscribe_guest(&self, instance: &str, inbound: Option<&str>) -> Lines {
        let service = instance.split('-').next().unwrap();
        let mut body = registration(service, instance, nowhere());
        body["guest"] = json!(true);
        body["inbound"] = json!(inbound);
        self.register(&body).await
    }

    async fn register(&self, body: &Value) -> Lines {
        let response = self.control("/control/v1/subscribe", body).await;
        assert_eq!(response.status(), StatusCode::OK);
        Lines {
            body: response.into_body(),
            rest: Vec::new(),
        }
    }

    /// The live feed.
    pub(crate) async fn events(&self) -> Lines {
        let request = Request::get(uri(self.at.page, "/api/mesh/events")).body(Full::default());
        let response = self.send(request.unwrap()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Lines {
            body: response.into_body(),
            rest: Vec::new(),
        }
    }

    /// Requests as they pass; heard from here on.
    pub(crate) async fn tap(&self, query: &str) -> Lines {
        let path = format!("/api/mesh/tap?{query}");
        let request = Request::get(uri(self.at.page, &path)).body(Full::default());
        let response = self.send(request.unwrap()).await;
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Lines {
            body: response.into_body(),
            rest: Vec::new(),
        }
    }

    pub(crate) async fn acknowledge(
        &self,
        instance: &str,
        revision: u64,
        problems: Value,
    ) -> StatusCode {
        let service = instance.split('-').next().unwrap();
        let ack = json!({ "service": service, "instance": instance, "revision": revision, "problems": problems });
        self.control("/control/v1/ack", &ack).await.status()
    }
}

pub(crate) fn registration(service: &str, instance: &str, metrics: SocketAddr) -> Value {
    json!({
        "service": service, "instance": instance, "metrics": metrics.to_string(),
        "admin": "127.0.0.1:1", "pid": 7, "version": "0.0.0",
    })
}

pub(crate) fn uri(addr: SocketAddr, path: &str) -> String {
    format!("http://{addr}{path}")
}

pub(crate) async fn read(response: http::Response<Incoming>) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}

/// Nothing listens there: for tests that read no numbers.
pub(crate) fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

/// A stream of lines.
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line that is not empty; none at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        timeout(PATIENCE, self.line())
            .await
            .expect("a line in time")
    }

    /// The next event of a feed, by its name.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.next().await.expect("an event");
            if let Some(rest) = line.strip_prefix("event: ") {
                rest.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }

    pub(crate) async fn snapshot(&mut self) -> Value {
        let line = self.next().await.expect("a snapshot");
        serde_json::from_str(&line).unwrap()
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                if !line.trim().is_empty() {
                    return Some(line.trim().to_owned());
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend(frame.into_data().unwrap_or_default());
        }
    }
}

/// Asks again until the answer is as wanted.
pub(crate) async fn until<F>(what: &str, mut ask: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let asking = async {
        while !ask().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        timeout(PATIENCE, asking).await.is_ok(),
        "never came: {what}"
    );
}

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("mesh-console-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
