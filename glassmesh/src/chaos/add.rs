//! `glassmesh chaos add`: a rule out of flags, or out of a file.

mod faults;
mod id;
mod source;
mod targets;
mod times;

use clap::{ArgGroup, Args};
use mesh_proxy::config::{Place, Policy, Rule};
use serde_json::json;

use super::{change, receipt::Receipt, words};
use crate::{
    complete,
    console_client::ConsoleAt,
    failure::Failure,
    out::{self, BOLD, Styled},
};
use faults::FaultFlags;
pub(super) use source::yaml;
use targets::TargetFlags;
use times::TimeFlags;

pub(super) const EXAMPLES: &str = "\
Examples:
  A third of the calls to payments fail, for two minutes; retries save most orders:
    glassmesh chaos add payments --abort 503 --percent 30 --for 2m

  One edge becomes slow; others that call payments do not notice:
    glassmesh chaos add 'orders -> payments' --delay normal:200ms:50ms

  A dependency is dead, and no retry helps:
    glassmesh chaos add 'orders -> users' --abort 503 --position request

  Answers come slowly and break off, for one kind of request of one caller:
    glassmesh chaos add products --throttle 10KiB/s --truncate 100B --method GET --caller gateway

  A brown-out that grows over two minutes, and ends when one order in ten fails:
    glassmesh chaos add inventory --abort 503 --ramp 2m --guard 'gateway -> orders=90'

  For a tester alone, whose requests carry `baggage: mesh.chaos=mine`:
    glassmesh chaos add payments --hang --armed --id mine

  The rule in a file, and back:
    glassmesh chaos add payments --abort 503 --percent 30 --dry-run > rule.yaml
    glassmesh chaos add --file rule.yaml --for 5m";

/// clap's own would list every fault.
pub(super) const USAGE: &str = "\
glassmesh chaos add [OPTIONS] WHERE FAULT…
       glassmesh chaos add [OPTIONS] --file FILE";

/// A rule as flags; what a file says, they overrule.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("fault").required(true).multiple(true).args(FaultFlags::IDS))]
pub(super) struct AddArgs {
    /// `payments` (a bad node), `payments-2` (one instance) or `orders -> payments` (a bad edge)
    #[arg(value_name = "WHERE", required_unless_present = "file", add = complete::places())]
    place: Option<Place>,
    /// Read the rule from this file, YAML or JSON; `-` for stdin. Flags beside it overrule it
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    #[command(
        flatten,
        next_help_heading = "Faults (one or several, each drawn by itself)"
    )]
    faults: FaultFlags,
    #[command(
        flatten,
        next_help_heading = "Which requests (all conditions must hold)"
    )]
    targets: TargetFlags,
    #[command(flatten, next_help_heading = "When")]
    times: TimeFlags,
    /// Name in metrics, traces and messages; default: made from place and faults
    #[arg(long, help_heading = "The rule itself")]
    id: Option<String>,
    /// What it shows, for people
    #[arg(long, value_name = "TEXT", help_heading = "The rule itself")]
    description: Option<String>,
    /// Start of every draw: the same seed hits the same attempts of the same traces
    #[arg(long, value_name = "NUMBER", help_heading = "The rule itself")]
    seed: Option<u64>,
    /// Add it, but leave it off until `glassmesh chaos on`
    #[arg(long, help_heading = "The rule itself")]
    disabled: bool,
    /// Check the rule as far as that goes without a mesh, print it as YAML, add nothing
    #[arg(long, help_heading = "Output and console")]
    dry_run: bool,
    #[command(flatten, next_help_heading = "Output and console")]
    at: ConsoleAt,
}

pub(super) async fn run(args: AddArgs) -> Result<(), Failure> {
    let (dry_run, json) = (args.dry_run, args.at.json);
    let client = args.at.client()?;
    let rule = args.rule().map_err(Failure::Invalid)?;
    if dry_run {
        return show(&rule, json);
    }
    let receipt = Receipt::start();
    let state = client.add_rule(&rule).await?;
    let text = || {
        let id = Styled(BOLD, &state.rule.id);
        format!(
            "{id}: {}, {}",
            words::sentence(&state.rule),
            words::status(&state)
        )
    };
    let done = json!({ "rule": state });
    change::finish(&client, json, receipt, done, text).await
}

/// The rule as a file holds it, once it can be one.
fn show(rule: &Rule, json: bool) -> Result<(), Failure> {
    let problems = problems(rule);
    if !problems.is_empty() {
        let list = problems.join("\n  ");
        return Err(Failure::Invalid(format!("rule `{}`:\n  {list}", rule.id)));
    }
    if json {
        out::json(&source::sparse(rule)?)?;
    } else {
        out::line(yaml(rule)?.trim_end());
    }
    Ok(())
}

/// What is wrong with it in every mesh.
fn problems(rule: &Rule) -> Vec<String> {
    let alone = Policy {
        chaos: vec![rule.clone()],
        ..Policy::default()
    };
    let found = mesh_proxy::config::check(&alone).into_iter();
    let own = found.map(|problem| {
        let key = problem.key.trim_start_matches("chaos[0]");
        match key.trim_start_matches('.') {
            "" => problem.message,
            key => format!("{key}: {}", problem.message),
        }
    });
    own.collect()
}

impl AddArgs {
    /// The rule that is meant: what the file says, and the flags over it.
    fn rule(self) -> Result<Rule, String> {
        let read = self.file.as_deref().map(source::read).transpose()?;
        let mut rule = match (read, self.place) {
            (Some(rule), None) => rule,
            (Some(rule), Some(place)) => Rule { place, ..rule },
            (None, Some(place)) => Rule::new("", place),
            (None, None) => return Err("say where, or give a --file".to_owned()),
        };
        self.faults.apply(&mut rule)?;
        self.targets.apply(&mut rule);
        self.times.apply(&mut rule);
        set(&mut rule.description, self.description);
        set(&mut rule.seed, self.seed);
        rule.enabled &= !self.disabled;
        rule.id = match self.id {
            Some(id) => id,
            None if rule.id.is_empty() => id::of(&rule),
            None => rule.id,
        };
        Ok(rule)
    }
}

/// A flag that was not given leaves what is there.
fn set<T>(to: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *to = value;
    }
}

/// The same for what may be absent in a rule.
fn set_some<T>(to: &mut Option<T>, flag: Option<T>) {
    if flag.is_some() {
        *to = flag;
    }
}

/// `NAME=VALUE`
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected a name and a value, as x-name=value".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100, as 30".to_owned()),
    }
}

#[cfg(test)]
mod tests;
