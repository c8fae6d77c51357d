//! The admin API: what this sidecar knows, and two switches. It has a listener of
//! its own, on loopback, because it can change things.
//!
//! | | |
//! |---|---|
//! | `GET /config` | who the sidecar is, revision and policy in force |
//! | `GET /clusters` | endpoints with breaker, load and attempts in flight; budgets |
//! | `GET /chaos` | whether chaos was halted here; rules in force, with the time they have left and what they met |
//! | `POST /chaos/halt` | turns all rules off at this sidecar, and says how many were on |
//! | `POST /drain` | finishes what is in flight and ends |
//!
//! A `POST` needs the header `x-glassmesh: 1`, which a foreign web page cannot
//! send, and every request a `Host` that names this machine or an address.

mod guard;
mod views;

use std::{
    convert::Infallible,
    net::TcpListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State as Extract,
    middleware,
    routing::{get, post},
};
use mesh_telemetry::task;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    body::{Request, Response},
    config::{ListenerLimits, SidecarConfig},
    server::{self, Drain, Listening},
    shared::Shared,
};

/// What the handlers read.
#[derive(Clone)]
pub(crate) struct State {
    shared: Arc<Shared>,
    service: Arc<str>,
    instance: Arc<str>,
    drain: CancellationToken,
}

impl State {
    pub(crate) fn new(shared: &Arc<Shared>, config: &SidecarConfig, drain: &Drain) -> Self {
        Self {
            shared: Arc::clone(shared),
            service: config.service.as_str().into(),
            instance: config.instance.as_str().into(),
            drain: drain.begin.clone(),
        }
    }
}

/// The routes.
pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/config", get(config))
        .route("/clusters", get(clusters))
        .route("/chaos", get(chaos))
        .route("/chaos/halt", post(halt))
        .route("/drain", post(drain))
        .layer(middleware::from_fn(guard::check))
        .with_state(state)
}

/// Serves a page until the token is cancelled, with the same care for connections as
/// the listeners for requests.
pub(crate) fn serve_page(
    name: &'static str,
    listener: TcpListener,
    page: Router,
    end: CancellationToken,
) {
    let drain = Drain {
        begin: end,
        ..Drain::default()
    };
    let listening = Listening::new(name, limits(), None);
    task::spawn(name, server::serve(listener, Page(page), listening, drain));
}

/// What is borne from those who look at a page: probes, scrapers, consoles, people.
fn limits() -> ListenerLimits {
    ListenerLimits {
        max_connections: 256,
        head_timeout: Duration::from_secs(10),
        max_head: 16 * 1024,
        idle_timeout: Some(Duration::from_mins(2)), // longer than between two scrapes
        ..ListenerLimits::default()
    }
}

/// An axum router as a stack.
#[derive(Clone)]
struct Page(Router);

impl Service<Request> for Page {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.0.call(request))
    }
}

async fn config(Extract(state): Extract<State>) -> Json<Value> {
    let policy = state.shared.policy.load();
    Json(json!({
        "service": &*state.service,
        "instance": &*state.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "revision": policy.revision,
        "policy": &policy.raw,
    }))
}

async fn clusters(Extract(state): Extract<State>) -> Json<Vec<views::ClusterView>> {
    let policy = state.shared.policy.load();
    Json(
        policy
            .clusters
            .values()
            .map(|cluster| views::cluster(cluster))
            .collect(),
    )
}

async fn chaos(Extract(state): Extract<State>) -> Json<views::ChaosView> {
    Json(views::chaos(&state.shared.policy.load()))
}

async fn halt(Extract(state): Extract<State>) -> Json<Value> {
    let halted = state.shared.policy.halt_chaos();
    Json(json!({ "halted": halted }))
}

async fn drain(Extract(state): Extract<State>) -> Json<Value> {
    state.drain.cancel();
    Json(json!({ "draining": true }))
}
