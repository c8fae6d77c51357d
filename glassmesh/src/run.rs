//! `glassmesh run`: any command, in any language, behind a sidecar of its own.
//!
//! The sidecar lives in this process and ends with the command: its exit code is
//! ours, and signals go to it.

mod child;
mod environment;
mod network;

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use http::Uri;
use mesh_proxy::{
    RunError,
    cli::ProxyArgs,
    config::{Cluster, Route, SidecarConfig},
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, up::ready};
use child::{Child, Signals};
use environment::Environment;
use network::{Network, Upstream};

pub(crate) const EXAMPLES: &str = "\
Examples:
  With a mesh running (`glassmesh up`), an unmodified service in Python joins it:
    glassmesh run --name reviews --port 8001 -- python3 -m http.server 8001

  Others call it as http://reviews/, it calls others as http://users/, and each call is
  routed, retried, measured and traced by the sidecars between them.

  A command that only calls:
    glassmesh run --name script -- curl http://users/users

  Without a mesh:
    glassmesh run --name orders --port 8001 --cluster payments=127.0.0.1:9001 -- node server.js
    glassmesh run --name orders --port 8001 --config sidecar.yaml -- node server.js

The command finds its port in PORT, and HTTP_PROXY, NO_PROXY and OTEL_* set for it.
Its exit code is passed on; signals are passed to it.";

/// Time for the sidecar to get its first policy.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to run, and who it is in the mesh.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Name of the service: others call it as `http://NAME/`
    #[arg(long)]
    name: String,
    /// Port on which the command listens; 0: any free one, told in `PORT`; without
    /// this the command only calls
    #[arg(long)]
    port: Option<u16>,
    /// Unique name of this instance [default: NAME and the process id]
    #[arg(long)]
    instance: Option<String>,
    /// Console of the mesh to join; default: the mesh running in ./.glassmesh, else `http://127.0.0.1:4090`
    #[arg(long, env = "GLASSMESH_CONSOLE", value_name = "URL")]
    console: Option<Uri>,
    /// No console: a configuration file of mesh-proxy, of which names and addresses are replaced
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    config: Option<PathBuf>,
    /// No console: a service that can be called, as `payments=127.0.0.1:9001`; repeatable,
    /// also for further endpoints of one service
    #[arg(long, value_name = "NAME=HOST:PORT")]
    cluster: Vec<Upstream>,
    /// Where the sidecar takes calls from the mesh [default: a free port on loopback]
    #[arg(long, value_name = "ADDR", requires = "port")]
    inbound: Option<SocketAddr>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command until it ends.
pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let network = Network::find(&args).await?;
    let at = Addresses::choose(&args).await?;
    let shutdown = CancellationToken::new();
    let mut sidecar = pin!(sidecar(&args, &network, &at, shutdown.clone()));
    tokio::select! {
        ended = &mut sidecar => {
            ended?;
            return Err(anyhow!("the sidecar ended before it was ready").into());
        }
        ready = timeout(PATIENCE, ready::wait(at.metrics)) => {
            ready.context(network.not_ready())?;
        }
        signal = signals.next() => return Err(Failure::Code(signal.exit_code())),
    }
    let environment = Environment::of(&args, &network, &at);
    let mut child = Child::start(&args.command, &environment)?;
    let ended = tokio::select! {
        code = child.wait(&mut signals) => Ok(code?),
        ended = &mut sidecar => Err(ended),
    };
    match ended {
        Ok(code) => {
            shutdown.cancel();
            sidecar.await?;
            if code == 0 {
                Ok(())
            } else {
                Err(Failure::Code(code))
            }
        }
        Err(why) => {
            child.end().await;
            why?;
            Err(anyhow!("the sidecar was drained, and the command ended with it").into())
        }
    }
}

/// Where everything of this run listens.
struct Addresses {
    application: Option<SocketAddr>,
    inbound: Option<SocketAddr>,
    outbound: SocketAddr,
    admin: SocketAddr,
    metrics: SocketAddr,
}

impl Addresses {
    /// Free ports, all different: the sockets stay bound until all are picked.
    async fn choose(args: &RunArgs) -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let mut pick = async |asked: SocketAddr| {
            if asked.port() != 0 {
                return Ok(asked);
            }
            let bound = TcpListener::bind(asked).await;
            let bound = bound.with_context(|| format!("no free port at {}", asked.ip()))?;
            let address = bound.local_addr()?;
            held.push(bound);
            anyhow::Ok(address)
        };
        let (mut application, mut inbound) = (None, None);
        if let Some(port) = args.port {
            application = Some(pick(loopback(port)).await?);
            inbound = Some(pick(args.inbound.unwrap_or(loopback(0))).await?);
        }
        Ok(Self {
            application,
            inbound,
            outbound: pick(loopback(0)).await?,
            admin: pick(loopback(0)).await?,
            metrics: pick(loopback(0)).await?,
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

async fn sidecar(
    args: &RunArgs,
    network: &Network,
    at: &Addresses,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let options = ProxyArgs {
        config: args.config.clone(),
        service: Some(args.name.clone()),
        instance: Some(args.instance()),
        inbound: at.inbound,
        application: at.application,
        outbound: Some(at.outbound),
        admin: Some(at.admin),
        metrics: Some(at.metrics),
        control: network.console().map(ToString::to_string),
        guest: network.console().is_some(),
        otlp: network.otlp_grpc(),
        sample_ratio: network.sample_ratio(),
        workers: None,
    };
    if args.cluster.is_empty() {
        return mesh_proxy::run_following(options, shutdown).await;
    }
    let mut config = options.resolve()?;
    add(&mut config, &args.cluster);
    mesh_proxy::run(config, shutdown).await
}

/// A cluster for each name, and a route by that name.
fn add(config: &mut SidecarConfig, upstreams: &[Upstream]) {
    let policy = &mut config.policy;
    for Upstream { name, endpoint } in upstreams {
        if let Some(known) = policy.clusters.get_mut(name) {
            known.endpoints.push(endpoint.clone());
            continue;
        }
        let cluster = Cluster::new(vec![endpoint.clone()]);
        policy.clusters.insert(name.clone(), cluster);
        let mut route = Route::new(name, name);
        route.matches.authority = Some(name.clone());
        policy.routes.push(route);
    }
}

impl RunArgs {
    fn instance(&self) -> String {
        let unnamed = || format!("{}-{}", self.name, std::process::id());
        self.instance.clone().unwrap_or_else(unnamed)
    }
}
