//! The Glassmesh sidecar: stands beside one instance of a service, takes what the
//! application sends (outbound) and what the mesh sends to it (inbound).
//!
//! A request's walk, outside-in, is the list in `stack.rs`:
//!
//! - outbound: telemetry → rescue → guard → route → deadline → limits → mirror →
//!   chaos → retry → (per attempt) balance → telemetry → breaker → timeout →
//!   chaos → forward;
//! - inbound: edge → telemetry → rescue → guard → policy of the caller →
//!   authorize → deadline → limits → chaos → forward to the application.
//!
//! [`config`] is what a human or the console writes; a checked policy is put in
//! force as one immutable snapshot and replaced as a whole. [`run`] is a sidecar
//! with everything around it; [`Sidecar`] is the part that handles requests.

mod admin;
mod baggage;
mod body;
mod call;
pub mod cli;
mod client;
mod cluster;
pub mod config;
mod control;
mod error;
pub mod explain;
mod grpc;
mod halting;
mod layers;
pub mod lint;
mod names;
mod paths;
mod policy;
mod random;
mod reload;
mod routing;
mod server;
mod shared;
mod sidecar;
mod stack;
mod tls;
mod tunnel;

use std::net::SocketAddr;

use mesh_telemetry::{Component, Identity, Options, Readiness, install_proxy};
use tokio_util::sync::CancellationToken;

pub use error::{ProxyError, RunError, Side};
pub use layers::chaos::redraw;
pub use random::{mix, unit};
pub use sidecar::Sidecar;

use cli::ProxyArgs;
use config::SidecarConfig;
use halting::Halts;
use reload::Followed;

/// Runs a sidecar until `shutdown` is cancelled (or the admin API drains it), then
/// finishes what is in flight, within five seconds, and returns.
///
/// Installs the process's telemetry: one sidecar a process.
pub async fn run(config: SidecarConfig, shutdown: CancellationToken) -> Result<(), RunError> {
    run_with(config, Followed::hangups(), shutdown).await
}

/// Runs the sidecar that the options describe, as [`run`] does, and follows its file:
/// a change is put in force while it runs.
pub async fn run_following(args: ProxyArgs, shutdown: CancellationToken) -> Result<(), RunError> {
    let (followed, config) = Followed::of(args)?;
    run_with(config, followed, shutdown).await
}

async fn run_with(
    config: SidecarConfig,
    followed: Followed,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let halts = Halts::listen();
    sidecar::refuse_problems(&config)?;
    let (telemetry, sink) = install_proxy(Options {
        identity: Identity {
            service: config.service.clone(),
            instance: config.instance.clone(),
            component: Component::Sidecar,
        },
        otlp: config.telemetry.otlp.clone(),
        sample_ratio: config.telemetry.sample_ratio,
    })?;
    let readiness = Readiness::default();
    let metrics = config.metrics;
    let started = serve_metrics(metrics, telemetry.metrics_router(readiness.clone()))
        .and_then(|()| Sidecar::start(config, sink, readiness));
    let ended = match started {
        Ok(sidecar) => {
            serve(sidecar, followed, halts, shutdown).await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    telemetry.shutdown().await;
    ended
}

/// Before the rest: whoever waits for readiness can connect, and reads 503.
fn serve_metrics(address: SocketAddr, page: axum::Router) -> Result<(), RunError> {
    let listener = server::bind("metrics", address, false)?;
    admin::serve_page("metrics", listener, page, CancellationToken::new());
    Ok(())
}

async fn serve(sidecar: Sidecar, followed: Followed, halts: Halts, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sidecar.drain_begun() => {}
        () = reload::follow(&sidecar, followed) => {}
        () = halts.obey(&sidecar) => {}
    }
    sidecar.drain().await;
}
