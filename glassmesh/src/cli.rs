//! The command line.

use clap::{Parser, Subcommand};

use crate::{
    chaos::{self, ChaosArgs},
    complete::{self, CompletionsArgs},
    console,
    failure::Failure,
    health::{self, HealthArgs},
    load::{self, LoadArgs},
    proxy::{self, ProxyRole},
    run::{self, RunArgs},
    runtime,
    service::{self, ServiceRole},
    stat::{self, StatArgs, TopArgs},
    tap::{self, TapArgs},
    trace::{self, TraceArgs},
    up::{self, UpArgs},
};

/// A service mesh to see through and to break on purpose.
#[derive(Parser, Debug)]
#[command(
    name = "glassmesh",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: UpArgs,
}

const EXAMPLES: &str = "\
Without a command, the mesh starts (`glassmesh up`).

A first tour, with the mesh running in another terminal:
  glassmesh                                     start it; open http://127.0.0.1:4090
  glassmesh chaos on flaky-payments             a third of the calls to payments fail
  glassmesh trace latest --filter faulted       the attempt that was hit, and its retry
  glassmesh top                                 every edge: rate, success, latency, retries
  glassmesh tap orders                          requests as they pass
  glassmesh load --rps 100 --duration 10s       how fast, how many fail
  glassmesh chaos halt                          all faults off";

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the whole mesh: console, services, sidecars, load
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Inject faults, and see who holds them
    #[command(after_help = CHAOS_EXAMPLES)]
    Chaos(ChaosArgs),
    /// Run any command behind a sidecar of its own, as part of the mesh
    #[command(after_help = run::EXAMPLES)]
    Run(Box<RunArgs>),
    /// Show a trace as a waterfall
    #[command(after_help = trace::EXAMPLES)]
    Trace(TraceArgs),
    /// Show the edges of the mesh in numbers
    #[command(after_help = stat::STAT_EXAMPLES)]
    Stat(StatArgs),
    /// The same, again and again
    #[command(after_help = stat::TOP_EXAMPLES)]
    Top(TopArgs),
    /// Show requests as they pass
    #[command(after_help = tap::EXAMPLES)]
    Tap(Box<TapArgs>),
    /// Send the shop traffic and report its answers
    #[command(after_help = load::EXAMPLES)]
    Load(LoadArgs),
    /// Print the script that lets a shell complete commands and names with Tab
    #[command(after_help = complete::EXAMPLES)]
    Completions(CompletionsArgs),
    /// Ask a process whether it is well; for the health checks of containers
    #[command(after_help = health::EXAMPLES)]
    Health(HealthArgs),
    /// Run the console alone: control plane, trace store, page
    #[command(after_help = console::EXAMPLES)]
    Console(Box<mesh_console::ConsoleArgs>),
    /// Run one service of the shop alone
    #[command(after_help = service::EXAMPLES)]
    Service(Box<ServiceRole>),
    /// Run one sidecar alone, beside a service of your own
    #[command(after_help = proxy::EXAMPLES)]
    Proxy(Box<ProxyRole>),
}

const UP_EXAMPLES: &str = "\
Examples:
  glassmesh up
  glassmesh up --rps 0                          without load
  glassmesh up --config my-mesh.yaml --data-dir /tmp/mesh
  glassmesh up --console-port 4091 --shop-port 4081 --otlp-grpc-port 0 --otlp-http-port 0 \\
               --internal-port 0 --data-dir ./second      a second mesh beside the first

A child that dies is started again. Ctrl-C drains everything; a second one kills.";

const CHAOS_EXAMPLES: &str = "\
Examples:
  glassmesh chaos list
  glassmesh chaos on flaky-payments
  glassmesh chaos add 'orders -> payments' --delay 200ms --percent 50 --for 2m
  glassmesh chaos halt";

impl Cli {
    /// Runs the command on a runtime that fits it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command.unwrap_or(Command::Up(self.up)) {
            Command::Up(args) => runtime::small(up::run(args)),
            Command::Chaos(args) => runtime::small(chaos::run(args)),
            Command::Run(args) => runtime::small(run::run(*args)),
            Command::Trace(args) => runtime::small(trace::run(args)),
            Command::Stat(args) => runtime::small(stat::stat(args)),
            Command::Top(args) => runtime::small(stat::top(args)),
            Command::Tap(args) => runtime::small(tap::run(*args)),
            Command::Load(args) => runtime::small(load::run(args)),
            Command::Completions(args) => complete::run(&args),
            Command::Health(args) => runtime::small(health::run(args)),
            Command::Console(args) => runtime::threaded(console::run(*args)),
            Command::Service(role) => runtime::threaded(service::run(*role)),
            Command::Proxy(args) => runtime::small(proxy::run(*args)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_mesh_starts() {
        let cli = Cli::try_parse_from(["glassmesh", "--rps", "0"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.up.rps, Some(0.0));
    }

    #[test]
    fn every_command_teaches_by_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            assert!(
                help.is_some_and(|help| help.contains("glassmesh")),
                "{name}"
            );
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_manual_names_every_command_and_every_flag_of_its_own() {
        const MANUAL: &str = include_str!("../../docs/cli.md");
        // Documented beside their libraries.
        let roles = ["console", "service", "proxy", "health"];
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(MANUAL.contains(&format!("glassmesh {name}")), "{name}");
            let commands = command.get_subcommands().chain([command]);
            for command in commands.filter(|_| !roles.contains(&name)) {
                let flags = command.get_arguments().filter_map(|arg| arg.get_long());
                for flag in flags {
                    assert!(MANUAL.contains(&format!("--{flag}")), "{name} --{flag}");
                }
            }
        }
    }
}
