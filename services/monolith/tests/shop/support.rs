//! A running shop, and somebody to call it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kit::{Context, Peers};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What goes wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers 503 and does nothing.
    Down,
    /// It does what it is asked, and the answer is lost.
    AnswerLost,
}

type Faults = Arc<Mutex<HashMap<(&'static str, Option<Method>), Fault>>>;

/// Services in the order in which they were asked, and what time they were given.
type Asked = Arc<Mutex<Vec<(&'static str, Method, Option<u64>)>>>;

pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Body>,
    faults: Faults,
    asked: Asked,
    folder: Option<TempDir>,
    context: Context,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn open_in(folder: TempDir) -> Self {
        let shutdown = CancellationToken::new();
        let context = Context::new(folder.path(), Peers::default(), shutdown.clone());
        let (faults, asked) = (Faults::default(), Asked::default());
        let router = monolith::build_with(&context, |name, router| {
            let faults = faults.clone();
            let asked = asked.clone();
            router.layer(from_fn(move |request, next| {
                write_down(&asked, name, &request);
                with_fault(name, faults.clone(), request, next)
            }))
        });
        let router: Router = router.await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = kit::service::serve_until(listener, router, shutdown.clone());
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            faults,
            asked,
            folder: Some(folder),
            context,
            shutdown,
            serving: mesh_telemetry::task::spawn("shop", serving),
        }
    }

    /// Ends the shop as a signal does, and returns its folder.
    pub(crate) async fn close(mut self) -> TempDir {
        self.shutdown.cancel();
        (&mut self.serving).await.unwrap();
        self.context.close().await;
        self.folder.take().unwrap()
    }

    /// Puts a fault on a service, or on one method of it only.
    pub(crate) fn break_it(&self, service: &'static str, method: Option<Method>, fault: Fault) {
        let mut faults = self.faults.lock().unwrap();
        faults.insert((service, method), fault);
    }

    /// Milliseconds that the calls of this method to the service were given.
    pub(crate) fn times_given(&self, service: &str, method: &Method) -> Vec<Option<u64>> {
        let asked = self.asked.lock().unwrap();
        let these = asked
            .iter()
            .filter(|(s, m, _)| *s == service && m == method);
        these.map(|(_, _, left)| *left).collect()
    }

    pub(crate) fn repair(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(method, path, &headers, body).await
    }

    pub(crate) async fn post_with_key(&self, path: &str, key: &str, body: Value) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = Body::from(body.to_string());
        self.send("POST", path, &headers, body).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(body).unwrap());
        let (parts, body) = response.await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
        }
    }

    pub(crate) async fn units(&self, product: i64) -> i64 {
        let stock = self.get(&format!("/inventory/{product}")).await;
        stock.body["units"].as_i64().unwrap()
    }

    /// Everything that could have changed, through the front door.
    pub(crate) async fn everything(&self) -> Value {
        let mut all = Vec::new();
        for path in [
            "/users",
            "/products",
            "/orders",
            "/payments",
            "/notifications",
        ] {
            all.push(self.get(&format!("{path}?limit=100")).await.body);
        }
        for product in 1..=12 {
            all.push(self.get(&format!("/inventory/{product}")).await.body);
        }
        all.into()
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let body = self.get(path).await.body;
                if wanted(&body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking)
            .await
            .unwrap_or_else(|_| panic!("{path} never became as wanted"))
    }
}

fn write_down(asked: &Asked, name: &'static str, request: &Request) {
    let left = request.headers().get(kit::deadline::HEADER);
    let left = left.map(|left| left.to_str().unwrap().parse().unwrap());
    let one = (name, request.method().clone(), left);
    asked.lock().unwrap().push(one);
}

async fn with_fault(name: &'static str, faults: Faults, request: Request, next: Next) -> Response {
    let fault = {
        let faults = faults.lock().unwrap();
        let exact = faults.get(&(name, Some(request.method().clone())));
        exact.or_else(|| faults.get(&(name, None))).copied()
    };
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match fault {
        None => next.run(request).await,
        Some(Fault::Down) => unavailable.into_response(),
        Some(Fault::AnswerLost) => {
            next.run(request).await;
            unavailable.into_response()
        }
    }
}

/// An order of so many units of one product, by user 1.
pub(crate) fn order(product: i64, quantity: i64) -> Value {
    json!({ "user_id": 1, "items": [{ "product_id": product, "quantity": quantity }] })
}
