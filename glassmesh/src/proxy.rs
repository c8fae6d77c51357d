//! `glassmesh proxy`: one sidecar.

use clap::Args;
use mesh_proxy::cli::{Command, ProxyArgs};

use crate::{failure::Failure, out, role};

/// A sidecar to run, or a question about one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ProxyRole {
    #[command(subcommand)]
    question: Option<Command>,
    #[command(flatten)]
    run: ProxyArgs,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh proxy --config sidecar.yaml          a change of the file is put in force at once
  glassmesh proxy check sidecar.yaml             everything that is wrong with it
  glassmesh proxy --service orders --instance orders-1 --inbound 0.0.0.0:15001 \\
                  --application 127.0.0.1:8001 --outbound 127.0.0.1:15002 \\
                  --admin 127.0.0.1:15003 --metrics 127.0.0.1:15004 --control http://127.0.0.1:4090";

/// Answers the question, or runs the sidecar until a signal comes.
pub(crate) async fn run(role: ProxyRole) -> Result<(), Failure> {
    if let Some(question) = role.question {
        let report = question.run().await?;
        out::line(&report.text);
        return if report.good {
            Ok(())
        } else {
            Err(Failure::Told)
        };
    }
    role.run
        .resolve()
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    let shutdown = role::shutdown_token()?;
    Ok(mesh_proxy::run_following(role.run, shutdown).await?)
}
