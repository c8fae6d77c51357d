//! `glassmesh service NAME`: one service of the shop.

use clap::Args;
use kit::ServiceArgs;

use crate::{failure::Failure, role};

/// The services that are in this binary.
pub(crate) const NAMES: [&str; 8] = [
    gateway::NAME,
    users::NAME,
    products::NAME,
    inventory::NAME,
    orders::NAME,
    payments::NAME,
    notifications::NAME,
    monolith::NAME,
];

/// Which service, and how.
#[derive(Args, Debug)]
pub(crate) struct ServiceRole {
    /// The service to run
    #[arg(value_parser = NAMES)]
    name: String,
    #[command(flatten)]
    args: ServiceArgs,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  Without a mesh, payments alone:
    glassmesh service payments --listen 127.0.0.1:5101 --data-dir /tmp/shop

  The whole shop in one process:
    glassmesh service monolith --listen 127.0.0.1:5100 --data-dir /tmp/shop

  Peers called directly, one address each:
    glassmesh service orders --listen 127.0.0.1:5102 --peer payments=http://127.0.0.1:5101

  Peers called through a sidecar, by name:
    glassmesh service orders --listen 127.0.0.1:5102 --outbound http://127.0.0.1:15002

Every flag is an environment variable, too, as the list above says.";

/// Runs the service until a signal comes.
pub(crate) async fn run(role: ServiceRole) -> Result<(), Failure> {
    let shutdown = role::shutdown_token()?;
    let args = role.args;
    let ran = match role.name.as_str() {
        gateway::NAME => gateway::run(args, shutdown).await,
        users::NAME => users::run(args, shutdown).await,
        products::NAME => products::run(args, shutdown).await,
        inventory::NAME => inventory::run(args, shutdown).await,
        orders::NAME => orders::run(args, shutdown).await,
        payments::NAME => payments::run(args, shutdown).await,
        notifications::NAME => notifications::run(args, shutdown).await,
        monolith::NAME => monolith::run(args, shutdown).await,
        other => return Err(Failure::Invalid(format!("`{other}` is no service"))),
    };
    Ok(ran?)
}
