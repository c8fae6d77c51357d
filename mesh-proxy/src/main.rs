//! The sidecar as a binary of its own. The system's allocator, on purpose: mimalloc was
//! measured at 7 MB more resident memory for a few percent less CPU, and light comes first.

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use mesh_proxy::cli::{self, ProxyArgs};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Glassmesh sidecar: routing, balancing, retries, deadlines and chaos, seen in every trace
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ProxyArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar (the default)
    Run(Box<ProxyArgs>),
    #[command(flatten)]
    Ask(cli::Command),
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Run(Box::new(cli.run))) {
        Command::Run(args) => start(*args).map(|()| ExitCode::SUCCESS),
        Command::Ask(question) => {
            let report = answer(&question)?;
            // A reader that went away, as `head`, is no error.
            let _ = writeln!(std::io::stdout(), "{}", report.text);
            Ok(if report.good {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn answer(question: &cli::Command) -> Result<cli::Report, mesh_proxy::RunError> {
    question.run().await
}

#[tokio::main(flavor = "current_thread")]
async fn start(args: ProxyArgs) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let sidecar = mesh_proxy::run_following(args, shutdown.clone());
    tokio::pin!(sidecar);
    tokio::select! {
        ended = &mut sidecar => return Ok(ended?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    Ok(sidecar.await?)
}
