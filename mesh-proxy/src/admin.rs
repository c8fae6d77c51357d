//! The admin API: what this sidecar knows, and two switches. It has a listener of
//! its own, on loopback, because it can change things.
//!
//! | | |
//! |---|---|
//! | `GET /config` | who the sidecar is, revision and policy in force |
//! | `GET /clusters` | endpoints with breaker, load and attempts in flight; budgets |
//! | `GET /chaos` | rules in force here, with the time they have left |
//! | `POST /chaos/halt` | turns all rules off at this sidecar |
//! | `POST /drain` | finishes what is in flight and ends |
//!
//! A `POST` needs the header `x-glassmesh: 1`, which a foreign web page cannot
//! send, and every request a `Host` that names this machine or an address.

mod guard;
mod views;

use std::{net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Extract,
    middleware,
    routing::{get, post},
};
use mesh_telemetry::task;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{config::SidecarConfig, server::Drain, shared::Shared};

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

/// Serves a page until the token is cancelled.
pub(crate) fn serve_page(
    name: &'static str,
    listener: TcpListener,
    page: Router,
    end: CancellationToken,
) {
    task::spawn(name, async move {
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                axum::serve(listener, page)
                    .with_graceful_shutdown(end.cancelled_owned())
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(listener = name, %error, "the listener ended");
        }
    });
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

async fn chaos(Extract(state): Extract<State>) -> Json<Vec<views::RuleView>> {
    let policy = state.shared.policy.load();
    Json(views::rules(&policy.rules))
}

async fn halt(Extract(state): Extract<State>) -> Json<Value> {
    let halted = state.shared.policy.halt_chaos();
    Json(json!({ "halted": halted }))
}

async fn drain(Extract(state): Extract<State>) -> Json<Value> {
    state.drain.cancel();
    Json(json!({ "draining": true }))
}
