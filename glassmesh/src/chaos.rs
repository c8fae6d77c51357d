//! `glassmesh chaos`: faults, by way of the console.

mod receipt;
mod show;

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use mesh_proxy::config::{Abort, Delay, Place, Position, Rule, units};
use serde_json::json;

use crate::{
    console_client::{ConsoleAt, ConsoleClient},
    failure::Failure,
    out,
};
use receipt::Receipt;

/// What to do with the rules.
#[derive(Args, Debug)]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Add a rule and put it in force; a rule of the same id is replaced
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// Show all rules, what they injected, and who holds them
    #[command(
        after_help = "Examples:\n  glassmesh chaos list\n  glassmesh chaos list --json | jq '.rules[] | select(.rule.enabled) | .rule.id'"
    )]
    List(ConsoleAt),
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
    /// Turn every rule off, at once
    #[command(after_help = "Example:\n  glassmesh chaos halt")]
    Halt(ConsoleAt),
}

const ADD_EXAMPLES: &str = "\
Examples:
  A third of the calls to payments fail, for two minutes; retries save most orders:
    glassmesh chaos add payments --abort 503 --percent 30 --for 2m

  One edge becomes slow; others that call payments do not notice:
    glassmesh chaos add 'orders -> payments' --delay 200ms

  A dependency is dead, and no retry helps:
    glassmesh chaos add 'orders -> users' --abort 503 --position request

  The same again with a name of its own and a seed, so that it can be repeated:
    glassmesh chaos add payments --abort 500 --percent 10 --id rehearsal --seed 7";

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("fault").required(true).multiple(true).args(["abort", "delay"]))]
struct AddArgs {
    /// `payments` (a bad node, for all callers) or `orders -> payments` (a bad edge)
    #[arg(value_name = "WHERE")]
    place: Place,
    /// Answer with this status instead, 400 to 599
    #[arg(long, value_name = "STATUS", value_parser = abort)]
    abort: Option<Abort>,
    /// Wait before going on, as 200ms
    #[arg(long, value_name = "TIME")]
    delay: Option<Delay>,
    /// Share of the attempts that are hit, 0 to 100
    #[arg(long, default_value_t = 100.0, value_parser = percent, allow_negative_numbers = true)]
    percent: f64,
    /// Time after which the rule turns itself off
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = units::duration::parse)]
    ttl: Duration,
    /// Name in metrics, traces and messages; default: made from place and fault
    #[arg(long)]
    id: Option<String>,
    /// `attempt`: each try draws anew, retries can help; `request`: once, they cannot
    #[arg(long, value_parser = position, default_value = "attempt")]
    position: Position,
    /// What it shows, for people
    #[arg(long, default_value = "")]
    description: String,
    /// Start of every draw: the same seed hits the same attempts of the same traces
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    at: ConsoleAt,
}

#[derive(Args, Debug)]
struct RuleAt {
    /// Id of the rule, as `glassmesh chaos list` shows it
    id: String,
    #[command(flatten)]
    at: ConsoleAt,
}

fn abort(text: &str) -> Result<Abort, String> {
    match text.parse()? {
        Abort::Http { status, .. } if !(400..=599).contains(&status) => {
            Err("expected an HTTP status from 400 to 599, as 503".to_owned())
        }
        abort => Ok(abort),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

fn position(text: &str) -> Result<Position, String> {
    match text {
        "attempt" => Ok(Position::Attempt),
        "request" => Ok(Position::Request),
        _ => Err("expected `attempt` or `request`".to_owned()),
    }
}

/// Does it and shows the receipt.
pub(crate) async fn run(args: ChaosArgs) -> Result<(), Failure> {
    match args.action {
        Action::Add(args) => add(*args).await,
        Action::List(at) => list(&at).await,
        Action::On(rule) => switch(&rule, true).await,
        Action::Off(rule) => switch(&rule, false).await,
        Action::Rm(rule) => remove(&rule).await,
        Action::Halt(at) => halt(&at).await,
    }
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let client = args.at.client()?;
    let json = args.at.json;
    let rule = rule(args);
    let receipt = Receipt::start();
    let state = client.add_rule(&rule).await?;
    finish(&client, json, receipt, json!({ "rule": state }), || {
        show::added(&state)
    })
    .await
}

async fn switch(rule: &RuleAt, enabled: bool) -> Result<(), Failure> {
    let client = rule.at.client()?;
    let receipt = Receipt::start();
    let state = client.switch_rule(&rule.id, enabled).await?;
    finish(
        &client,
        rule.at.json,
        receipt,
        json!({ "rule": state }),
        || show::switched(&state),
    )
    .await
}

async fn remove(rule: &RuleAt) -> Result<(), Failure> {
    let client = rule.at.client()?;
    let receipt = Receipt::start();
    client.remove_rule(&rule.id).await?;
    finish(
        &client,
        rule.at.json,
        receipt,
        json!({ "removed": rule.id }),
        || format!("{} is removed", rule.id),
    )
    .await
}

async fn halt(at: &ConsoleAt) -> Result<(), Failure> {
    let client = at.client()?;
    let receipt = Receipt::start();
    client.halt().await?;
    finish(&client, at.json, receipt, json!({ "halted": true }), || {
        "all rules are off".to_owned()
    })
    .await
}

async fn list(at: &ConsoleAt) -> Result<(), Failure> {
    let state = at.client()?.chaos().await?;
    if at.json {
        out::json(&state)?;
    } else {
        show::list(&state);
    }
    Ok(())
}

/// Waits until the sidecars hold the change, and shows it.
async fn finish(
    client: &ConsoleClient,
    json: bool,
    receipt: Receipt,
    mut done: serde_json::Value,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let receipt = receipt.wait(client).await?;
    if json {
        done["receipt"] = serde_json::to_value(&receipt)?;
        out::json(&done)?;
    } else {
        out::line(text());
        out::line(receipt.line());
    }
    receipt.verdict()
}

fn rule(args: AddArgs) -> Rule {
    let id = args.id.clone().unwrap_or_else(|| default_id(&args));
    Rule {
        description: args.description,
        percent: args.percent,
        position: args.position,
        delay: args.delay,
        abort: args.abort,
        seed: args.seed,
        ttl: args.ttl,
        ..Rule::new(&id, args.place)
    }
}

/// `orders-payments-delay-200ms`, `payments-abort-503`.
fn default_id(args: &AddArgs) -> String {
    let mut parts = match &args.place {
        Place::Edge {
            source,
            destination,
        } => vec![source.clone(), destination.clone()],
        Place::Node(name) => vec![name.clone()],
    };
    if let Some(delay) = args.delay {
        parts.push(format!("delay-{delay}"));
    }
    if let Some(abort) = &args.abort {
        parts.push(format!("abort-{abort}"));
    }
    parts
        .join("-")
        .to_ascii_lowercase()
        .replace(['_', '.', ':', ' '], "-")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        add: AddArgs,
    }

    fn parse(words: &[&str]) -> Result<Rule, clap::Error> {
        Cli::try_parse_from([&["add"], words].concat()).map(|cli| rule(cli.add))
    }

    #[test]
    fn a_rule_is_read_from_the_command_line() {
        let rule = parse(&[
            "orders -> payments",
            "--delay",
            "200ms",
            "--percent",
            "30%",
            "--for",
            "2m",
        ]);
        let rule = rule.unwrap();
        assert_eq!(rule.id, "orders-payments-delay-200ms");
        assert_eq!(rule.place.to_string(), "orders -> payments");
        assert_eq!(rule.ttl, Duration::from_mins(2));
        assert!((rule.percent - 30.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_rule_needs_a_fault_within_bounds() {
        assert!(parse(&["payments"]).is_err());
        assert!(parse(&["payments", "--abort", "200"]).is_err());
        assert!(parse(&["payments", "--abort", "503", "--percent", "101"]).is_err());
        assert!(parse(&["payments", "--delay", "200"]).is_err());
    }
}
