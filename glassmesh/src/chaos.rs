//! `glassmesh chaos`: faults, by way of the console.

mod add;
mod change;
mod halt;
mod list;
mod receipt;
mod replay;
mod scenario;
mod show;
mod words;

use clap::{Args, Subcommand};

use crate::{complete, console_client::ConsoleAt, failure::Failure};

/// What to do with the rules.
#[derive(Args, Debug)]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Add a rule and put it in force; a rule of the same id is replaced
    #[command(after_help = add::EXAMPLES, override_usage = add::USAGE)]
    Add(Box<add::AddArgs>),
    /// Show all rules: what they do, for how long, and what they met
    #[command(after_help = list::EXAMPLES)]
    List(ConsoleAt),
    /// Show all there is to know about one rule
    #[command(after_help = show::EXAMPLES)]
    Show(RuleAt),
    /// Turn a rule on; its time starts anew
    #[command(
        after_help = "Examples:\n  glassmesh chaos on flaky-payments\n  glassmesh chaos on flaky-payments && glassmesh trace latest --filter faulted"
    )]
    On(RuleAt),
    /// Turn a rule off and keep it
    #[command(after_help = "Example:\n  glassmesh chaos off flaky-payments")]
    Off(RuleAt),
    /// Remove a rule
    #[command(after_help = "Example:\n  glassmesh chaos rm payments-abort-503")]
    Rm(RuleAt),
    /// Send the request of a trace again, so that it meets the same faults
    #[command(after_help = replay::EXAMPLES)]
    Replay(Box<replay::ReplayArgs>),
    /// Ready faults to start, each with what to look for
    #[command(after_help = scenario::EXAMPLES)]
    Scenario(scenario::ScenarioArgs),
    /// Turn every rule off, at once
    #[command(after_help = halt::EXAMPLES)]
    Halt(ConsoleAt),
}

/// One rule of one console.
#[derive(Args, Debug)]
struct RuleAt {
    /// Id of the rule, as `glassmesh chaos list` shows it
    #[arg(value_name = "RULE", add = complete::rules())]
    id: String,
    #[command(flatten)]
    at: ConsoleAt,
}

/// Does it and shows the receipt.
pub(crate) async fn run(args: ChaosArgs) -> Result<(), Failure> {
    match args.action {
        Action::Add(args) => add::run(*args).await,
        Action::List(at) => list::run(&at).await,
        Action::Show(rule) => show::run(&rule).await,
        Action::On(rule) => change::switch(&rule, true).await,
        Action::Off(rule) => change::switch(&rule, false).await,
        Action::Rm(rule) => change::remove(&rule).await,
        Action::Replay(args) => replay::run(*args).await,
        Action::Scenario(args) => scenario::run(args).await,
        Action::Halt(at) => halt::run(&at).await,
    }
}
