//! `glassmesh proxy`: one sidecar.

use mesh_proxy::cli::ProxyArgs;

use crate::{failure::Failure, role};

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh proxy --config sidecar.yaml
  glassmesh proxy --service orders --instance orders-1 --inbound 0.0.0.0:15001 \\
                  --application 127.0.0.1:8001 --outbound 127.0.0.1:15002 \\
                  --admin 127.0.0.1:15003 --metrics 127.0.0.1:15004 --control http://127.0.0.1:4090";

/// Runs the sidecar until a signal comes.
pub(crate) async fn run(args: ProxyArgs) -> Result<(), Failure> {
    let config = args
        .resolve()
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    let shutdown = role::shutdown_token()?;
    Ok(mesh_proxy::run(config, shutdown).await?)
}
