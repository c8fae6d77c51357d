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

/// Builds every service, each with its own database, those without peers first.
/// The router is the gateway's.
pub async fn build(context: &Context) -> Result<Router> {
    let users = users::build(context).await?;
    let inventory = inventory::build(context).await?;
    let payments = payments::build(context).await?;
    let notifications = notifications::build(context).await?;
    let peers = Peers::default()
        .with(Peer::in_process(users::NAME, users))
        .with(Peer::in_process(inventory::NAME, inventory))
        .with(Peer::in_process(payments::NAME, payments))
        .with(Peer::in_process(notifications::NAME, notifications));
    let products = products::build(&context.with_peers(peers.clone())).await?;
    let peers = peers.with(Peer::in_process(products::NAME, products));
    let orders = orders::build(&context.with_peers(peers.clone())).await?;
    let peers = peers.with(Peer::in_process(orders::NAME, orders));
    gateway::build(&context.with_peers(peers))
}
