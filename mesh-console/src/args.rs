//! What the console is started with.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Args;

use crate::{ConsoleError, mesh_file::MeshFile};

/// Bytes of a mebibyte.
const MIB: usize = 1024 * 1024;

/// Arguments of `glassmesh console`.
#[derive(Clone, Debug, Args)]
pub struct ConsoleArgs {
    /// Mesh file
    #[arg(long, value_name = "FILE")]
    pub mesh: PathBuf,
    /// Where chaos rules are kept across restarts [default: nowhere]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Page and API [default: `ports.console` of the mesh file]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// OTLP over gRPC [default: `ports.otlp_grpc` of the mesh file]
    #[arg(long, value_name = "ADDR")]
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP [default: `ports.otlp_http` of the mesh file]
    #[arg(long, value_name = "ADDR")]
    pub otlp_http: Option<SocketAddr>,
    /// Where callers outside reach the mesh, for the page to link to [default:
    /// the exposed port of the mesh file]
    #[arg(long, value_name = "URL")]
    pub shop_url: Option<String>,
    /// A name under which browsers may ask, beside localhost; repeatable
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Memory for traces, MiB
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub trace_memory: u16,
    /// Serve the page from this folder instead of the built-in one
    #[arg(long, value_name = "DIR")]
    pub web_root: Option<PathBuf>,
}

/// What [`run`](crate::run) needs to know.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// The mesh, resolved and without problems.
    pub mesh: MeshFile,
    /// Where chaos rules are kept across restarts; none: nowhere.
    pub data_dir: Option<PathBuf>,
    /// Page and API.
    pub listen: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Where callers outside reach the mesh.
    pub shop_url: Option<String>,
    /// Names under which browsers may ask, beside loopback.
    pub allow_hosts: Vec<String>,
    /// Most bytes of traces.
    pub trace_bytes: usize,
    /// Folder of the page; none: the built-in one.
    pub web_root: Option<PathBuf>,
}

impl ConsoleConfig {
    /// The settings that a mesh file gives, and the defaults for all others.
    /// Checks the file and resolves it.
    pub fn from_mesh(mesh: &MeshFile) -> Result<Self, ConsoleError> {
        let problems = mesh.check();
        if !problems.is_empty() {
            return Err(ConsoleError::MeshInvalid { problems });
        }
        let mesh = mesh.resolve()?;
        let at = |port| SocketAddr::new(mesh.ports.host, port);
        Ok(Self {
            data_dir: None,
            listen: at(mesh.ports.console),
            otlp_grpc: at(mesh.ports.otlp_grpc),
            otlp_http: at(mesh.ports.otlp_http),
            shop_url: shop_url(&mesh),
            allow_hosts: Vec::new(),
            trace_bytes: 32 * MIB,
            web_root: None,
            mesh,
        })
    }
}

impl TryFrom<ConsoleArgs> for ConsoleConfig {
    type Error = ConsoleError;

    fn try_from(args: ConsoleArgs) -> Result<Self, ConsoleError> {
        let unreadable = |message: String| ConsoleError::MeshUnreadable {
            path: args.mesh.clone(),
            message,
        };
        let text = fs::read_to_string(&args.mesh).map_err(|error| unreadable(error.to_string()))?;
        let mesh = MeshFile::parse(&text).map_err(unreadable)?;
        let of_mesh = Self::from_mesh(&mesh)?;
        Ok(Self {
            data_dir: args.data_dir,
            listen: args.listen.unwrap_or(of_mesh.listen),
            otlp_grpc: args.otlp_grpc.unwrap_or(of_mesh.otlp_grpc),
            otlp_http: args.otlp_http.unwrap_or(of_mesh.otlp_http),
            shop_url: args.shop_url.or(of_mesh.shop_url),
            allow_hosts: args.allow_host,
            trace_bytes: usize::from(args.trace_memory) * MIB,
            web_root: args.web_root,
            mesh: of_mesh.mesh,
        })
    }
}

fn shop_url(mesh: &MeshFile) -> Option<String> {
    let port = mesh.services.values().find_map(|service| service.expose)?;
    let host = match mesh.ports.host {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Some(format!("http://{host}:{port}"))
}
