//! `glassmesh console`: control plane, trace store and page.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::{failure::Failure, role};

/// Which mesh, and where to listen.
#[derive(Args, Debug)]
pub(crate) struct ConsoleArgs {
    /// Mesh file with the addresses of all instances
    #[arg(long, env = "GLASSMESH_MESH", value_name = "FILE")]
    mesh: PathBuf,
    /// Where the console keeps its files
    #[arg(long, env = "GLASSMESH_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of page, API and control [default: `ports.console`]
    #[arg(long, env = "GLASSMESH_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address that takes spans over gRPC [default: `ports.otlp_grpc`]
    #[arg(long, env = "GLASSMESH_OTLP_GRPC", value_name = "ADDR")]
    otlp_grpc: Option<SocketAddr>,
    /// Address that takes spans over HTTP [default: `ports.otlp_http`]
    #[arg(long, env = "GLASSMESH_OTLP_HTTP", value_name = "ADDR")]
    otlp_http: Option<SocketAddr>,
    /// Where people reach the shop, for links
    #[arg(long, env = "GLASSMESH_SHOP_URL", value_name = "URL")]
    shop_url: Option<String>,
    /// Serve the page from here instead of from the binary, to work on it
    #[arg(long, env = "GLASSMESH_WEB_ROOT", value_name = "DIR")]
    web_root: Option<PathBuf>,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh console --mesh .glassmesh/run/mesh.yaml
  glassmesh console --mesh mesh.yaml --listen 0.0.0.0:4090 --otlp-grpc 0.0.0.0:4317";

/// Runs the console until a signal comes.
pub(crate) async fn run(args: ConsoleArgs) -> Result<(), Failure> {
    let shutdown = role::shutdown_token()?;
    let _ = (args, shutdown);
    Ok(())
}
