//! `glassmesh up`: a small supervisor. Every part of the mesh is a process of
//! its own, this same binary in another role.

mod activity;
pub(crate) mod data_dir;
mod holder;
mod lines;
mod logs;
mod mesh;
mod next;
mod plan;
mod ports;
mod process;
pub(crate) mod ready;
mod screen;
mod summary;
mod supervisor;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;

use crate::{console_client::ConsoleClient, failure::Failure};
use activity::Activity;
use data_dir::DataDir;
use logs::Logs;
use plan::{Plan, Spec};
use screen::Screen;
use summary::Summary;
use supervisor::{Supervisor, Tools};

/// What to start, and where.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Mesh file to start; default: the built-in shop
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where databases, logs and the resolved mesh file are kept
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    pub(crate) data_dir: PathBuf,
    /// Requests a second to start with; 0: none [default: `load.rps` of the mesh file]
    #[arg(long, value_name = "N", value_parser = requests_a_second)]
    pub(crate) rps: Option<f64>,
    /// Port of the console's page and API [default: `ports.console`]; 0: any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) console_port: Option<u16>,
    /// Port of the shop [default: `expose` of the gateway]; 0: any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) shop_port: Option<u16>,
    /// Port that takes spans over gRPC [default: `ports.otlp_grpc`]; 0: any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) otlp_grpc_port: Option<u16>,
    /// Port that takes spans over HTTP [default: `ports.otlp_http`]; 0: any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) otlp_http_port: Option<u16>,
    /// First port of services and sidecars, ten for each instance; 0: any free ones
    #[arg(long, value_name = "PORT")]
    pub(crate) internal_port: Option<u16>,
    /// Show more of what the processes log (as with `RUST_LOG=info`)
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// When all is ready, print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

fn requests_a_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rps) if rps.is_finite() && rps >= 0.0 => Ok(rps),
        _ => Err("expected a number of requests a second, as 20 or 0.5; 0 for none".to_owned()),
    }
}

/// Starts a mesh and runs it until asked to end.
pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    let start = Instant::now();
    let mesh = mesh::load(&args)?;
    let data_dir = DataDir::take(&args.data_dir)?;
    let mesh = ports::resolve(&mesh).await?;
    let mesh_file = data_dir.write_mesh_file(&mesh)?;
    let plan = Plan {
        mesh: &mesh,
        mesh_file: &mesh_file,
        data_dir: data_dir.path(),
    };
    let specs = plan.specs();
    let tools = tools(&args, &plan, &specs, data_dir.logs())?;
    let screen = tools.screen.clone();
    let started = |pids: &supervisor::Pids| {
        let seconds = start.elapsed().as_secs_f64();
        Summary::new(&plan, pids, seconds).show(args.json);
    };
    let outcome = Supervisor::new(tools)?.run(specs, started).await;
    screen.flush().await;
    outcome
}

fn tools(args: &UpArgs, plan: &Plan<'_>, specs: &[Spec], logs: PathBuf) -> anyhow::Result<Tools> {
    let widest = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let screen = Screen::start(widest)?;
    let complaints = screen.clone();
    Ok(Tools {
        binary: std::env::current_exe().context("cannot find the glassmesh binary itself")?,
        verbose: args.verbose,
        logs: Logs::start(logs, move |text| complaints.line(text))?,
        activity: Activity::start(ConsoleClient::new(plan.console_url().parse()?)),
        screen,
    })
}
