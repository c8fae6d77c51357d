//! The whole shop in one process: the same services, with each other's routers
//! as their peers. Nothing is copied and nothing is left out but the network.

use axum::Router;
use kit::{Context, Peer, Peers, Result, ServiceArgs};
use tokio_util::sync::CancellationToken;

/// Name of the process.
pub const NAME: &str = "monolith";

/// Runs the shop until `shutdown`.
pub async fn run(args: ServiceArgs, shutdown: CancellationToken) -> Result<()> {
    kit::service::run(NAME, args, shutdown, |context| async move {
        build(&context).await
    })
    .await
}

/// Builds every service, each with its own database. The router is the gateway's.
pub async fn build(context: &Context) -> Result<Router> {
    build_with(context, |_, router| router).await
}

/// The same, with each service's router passed through `wrap` before its peers
/// get it: the place to put something in a service's way.
pub async fn build_with(
    context: &Context,
    wrap: impl Fn(&'static str, Router) -> Router,
) -> Result<Router> {
    let peer = |name, router| Peer::in_process(name, wrap(name, router));
    // Those without peers first.
    let peers = Peers::default()
        .with(peer(users::NAME, users::build(context).await?))
        .with(peer(inventory::NAME, inventory::build(context).await?))
        .with(peer(payments::NAME, payments::build(context).await?))
        .with(peer(
            notifications::NAME,
            notifications::build(context).await?,
        ));
    let products = products::build(&context.with_peers(peers.clone())).await?;
    let peers = peers.with(peer(products::NAME, products));
    let orders = orders::build(&context.with_peers(peers.clone())).await?;
    let peers = peers.with(peer(orders::NAME, orders));
    gateway::build(&context.with_peers(peers))
}
