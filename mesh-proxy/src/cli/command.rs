//! Commands beside running: questions about a configuration, answered and done.

use std::path::PathBuf;

use clap::Subcommand;

use super::{check, explain, explain::ExplainArgs};
use crate::{config, error::RunError};

/// What to find out.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Report everything that is wrong with a configuration file
    #[command(after_help = CHECK)]
    Check {
        /// The file
        file: PathBuf,
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of configuration files
    #[command(after_help = SCHEMA)]
    Schema,
    /// Tell what would become of a request: its route, time, retries, faults and worst case
    #[command(after_help = EXPLAIN)]
    Explain(Box<ExplainArgs>),
}

const CHECK: &str = "\
Examples (`glassmesh proxy check` is the same):
  mesh-proxy check sidecar.yaml
  mesh-proxy check sidecar.yaml --json | jq '.problems[].key'

Exit code 0: it can be put in force, whatever the warnings; 1: it cannot.";

const SCHEMA: &str = "\
Examples (`glassmesh proxy schema` is the same):
  mesh-proxy schema > mesh-proxy.schema.json

Editors that know YAML complete and check a file which begins with
  # yaml-language-server: $schema=mesh-proxy.schema.json";

const EXPLAIN: &str = "\
Examples (`glassmesh proxy explain` is the same):
  mesh-proxy explain GET http://payments/charges --config sidecar.yaml
  mesh-proxy explain POST http://payments/charges -H 'idempotency-key: 7' --admin 127.0.0.1:15002

Nothing is sent. Exit code 1: no route takes the request.";

/// What a command found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For standard output, without the last line's end.
    pub text: String,
    /// The answer is a good one; else exit code 1.
    pub good: bool,
}

impl Command {
    /// Finds it out.
    pub async fn run(&self) -> Result<Report, RunError> {
        match self {
            Self::Check { file, json } => Ok(check::check(file, *json)),
            Self::Explain(args) => explain::run(args).await,
            Self::Schema => Ok(Report {
                text: config::schema(),
                good: true,
            }),
        }
    }
}
