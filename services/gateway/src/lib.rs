//! The shop's front door: one port for all services, and their documentation.
//!
//! `/users`, `/products`, `/inventory`, `/orders`, `/payments` and
//! `/notifications`, with everything below them, go to the service of that name;
//! `GET /`, `GET /docs` and `GET /openapi.json` are answered here.

mod docs;
mod forward;
mod openapi;

use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use http::{HeaderMap, header};
use kit::{Context, Json, Peer, Result, ServiceArgs};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use openapi::Descriptions;

/// Name of the service.
pub const NAME: &str = "gateway";

/// Services behind the gateway; each has the path of its name.
pub const SERVICES: [&str; 6] = [
    "users",
    "products",
    "inventory",
    "orders",
    "payments",
    "notifications",
];

/// Backstop for a forwarded call: more than orders needs when each of the calls
/// it makes takes as long as it may.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the service until `shutdown`.
pub async fn run(args: ServiceArgs, shutdown: CancellationToken) -> Result<()> {
    kit::service::run(
        NAME,
        args,
        shutdown,
        |context| async move { build(&context) },
    )
    .await
}

/// Finds the peers and makes the router.
pub fn build(context: &Context) -> Result<Router> {
    let peers = SERVICES
        .iter()
        .map(|name| context.peers().get(name))
        .collect::<Result<Vec<Peer>>>()?;
    Ok(router(peers))
}

/// The routes, for these services.
pub fn router(peers: Vec<Peer>) -> Router {
    let mut router = docs::routes().route("/", get(index));
    for peer in &peers {
        let peer = peer.clone().with_timeout(CALL_TIMEOUT);
        let all = any(forward::forward).with_state(peer.clone());
        router = router
            .route(&format!("/{}", peer.name()), all.clone())
            .route(&format!("/{}/{{*rest}}", peer.name()), all);
    }
    let described = get(openapi::serve).with_state(Descriptions::new(peers));
    kit::routes::finish(router.route("/openapi.json", described))
}

/// People get the documentation, programs a list of what there is.
async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Redirect::to("/docs").into_response();
    }
    let resources = SERVICES.map(|name| format!("/{name}"));
    Json(json!({
        "name": "Glassmesh shop",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "resources": resources,
    }))
    .into_response()
}
