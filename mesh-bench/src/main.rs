//! The benchmark as a program.

#[cfg(target_os = "linux")]
mod program {
    use clap::{Parser, Subcommand};
    use mesh_bench::{BenchArgs, bench};
    use mesh_proxy::cli::ProxyArgs;
    use tokio::signal::unix::{SignalKind, signal};
    use tokio_util::sync::CancellationToken;

    /// What mesh-proxy costs, side by side with other proxies
    #[derive(Parser)]
    #[command(version, args_conflicts_with_subcommands = true)]
    struct Cli {
        #[command(subcommand)]
        role: Option<Role>,
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[derive(Subcommand)]
    enum Role {
        /// Stand in for a mesh-proxy that is not built
        #[command(hide = true)]
        Sidecar(Box<ProxyArgs>),
    }

    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        match cli.role {
            Some(Role::Sidecar(args)) => {
                let shutdown = CancellationToken::new();
                let sidecar = mesh_proxy::run(args.resolve()?, shutdown.clone());
                tokio::pin!(sidecar);
                tokio::select! {
                    ended = &mut sidecar => return Ok(ended?),
                    () = end => shutdown.cancel(),
                }
                Ok(sidecar.await?)
            }
            // Dropped, it ends the processes that it has started.
            None => tokio::select! {
                done = bench(&cli.bench) => done,
                () = end => anyhow::bail!("interrupted"),
            },
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    program::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    // Nothing to measure with: see the library.
}
