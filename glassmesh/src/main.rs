//! The command people start: a service mesh to see through and break on purpose.

mod chaos;
mod cli;
mod complete;
mod console;
mod console_client;
mod failure;
mod health;
mod http_client;
mod load;
mod out;
mod proxy;
mod role;
mod run;
mod runtime;
mod service;
mod stat;
mod tap;
mod trace;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    complete::answer::<cli::Cli>();
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
