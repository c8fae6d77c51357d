//! `glassmesh console`: control plane, trace store and page.

use mesh_console::{ConsoleArgs, ConsoleConfig};

use crate::{failure::Failure, role};

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh console --mesh .glassmesh/run/mesh.yaml
  glassmesh console --mesh mesh.yaml --listen 0.0.0.0:4090 --otlp-grpc 0.0.0.0:4317";

/// Runs the console until a signal comes.
pub(crate) async fn run(args: ConsoleArgs) -> Result<(), Failure> {
    let config =
        ConsoleConfig::try_from(args).map_err(|error| Failure::Invalid(error.to_string()))?;
    let shutdown = role::shutdown_token()?;
    Ok(mesh_console::run(config, shutdown).await?)
}
