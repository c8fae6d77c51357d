//! `glassmesh chaos scenario`: a menu of ready faults, each with what to look for.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use mesh_console::api::{ScenarioStart, ScenarioState};
use mesh_proxy::config::units::duration::parse;
use serde_json::json;

use super::{change, receipt::Receipt, words};
use crate::{
    complete,
    console_client::{ConsoleAt, ConsoleClient},
    failure::Failure,
    out::{self, BOLD, DIM, NOTE, Styled},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  glassmesh chaos scenario list
  glassmesh chaos scenario start flaky-payments
  glassmesh chaos scenario start brown-out --for 5m --seed 7
  glassmesh chaos scenario stop flaky-payments
  glassmesh chaos scenario start mystery       a fault that is not told: find it, then
  glassmesh chaos scenario reveal mystery";

#[derive(Args, Debug)]
pub(super) struct ScenarioArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show the menu, and what runs
    #[command(after_help = "Example:\n  glassmesh chaos scenario list")]
    List(ConsoleAt),
    /// Show what a scenario does and what to look for
    #[command(after_help = "Example:\n  glassmesh chaos scenario show flaky-payments")]
    Show(One),
    /// Start a scenario
    #[command(
        after_help = "Examples:\n  glassmesh chaos scenario start flaky-payments\n  glassmesh chaos scenario start mystery --seed 7 --for 5m"
    )]
    Start {
        #[command(flatten)]
        one: One,
        /// Start of all its draws, to see the same again; default: a new one, which is shown
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
        /// How long; default: what the scenario says
        #[arg(long = "for", value_name = "TIME", value_parser = parse)]
        time: Option<Duration>,
    },
    /// Stop a scenario, and undo what it changed
    #[command(after_help = "Example:\n  glassmesh chaos scenario stop flaky-payments")]
    Stop(One),
    /// Tell what a mystery did, and stop it
    #[command(after_help = "Example:\n  glassmesh chaos scenario reveal mystery")]
    Reveal(One),
}

/// One scenario of one console.
#[derive(Args, Debug)]
struct One {
    /// Id of the scenario, as `glassmesh chaos scenario list` shows it
    #[arg(value_name = "SCENARIO", add = complete::scenarios())]
    id: String,
    #[command(flatten)]
    at: ConsoleAt,
}

pub(super) async fn run(args: ScenarioArgs) -> Result<(), Failure> {
    match args.action {
        Action::List(at) => list(&at).await,
        Action::Show(one) => show(&one).await,
        Action::Start { one, seed, time } => start(&one, ScenarioStart { seed, time }).await,
        Action::Stop(one) => stop(&one).await,
        Action::Reveal(one) => reveal(&one).await,
    }
}

async fn list(at: &ConsoleAt) -> Result<(), Failure> {
    let all = at.client()?.scenarios().await?;
    if at.json {
        return Ok(out::json(&all)?);
    }
    out::line(table(&all));
    let hint = "glassmesh chaos scenario start SCENARIO; `show` tells what to look for";
    out::line(Styled(DIM, hint));
    Ok(())
}

fn table(all: &[ScenarioState]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["scenario", "state", "seed", "shows"]);
    for one in all {
        let seed = one.seed.map(|seed| seed.to_string());
        table.add_row([
            one.id.clone(),
            status(one),
            seed.unwrap_or_default(),
            one.title.clone(),
        ]);
    }
    out::trimmed(&table)
}

fn status(one: &ScenarioState) -> String {
    match (one.running, one.left_ms) {
        (false, _) => String::new(),
        (true, None) => "runs".to_owned(),
        (true, Some(left)) => format!("runs, {} left", words::milliseconds(left)),
    }
}

async fn show(one: &One) -> Result<(), Failure> {
    let state = find(&one.at.client()?, &one.id).await?;
    if one.at.json {
        return Ok(out::json(&state)?);
    }
    told(&state).iter().for_each(out::line);
    Ok(())
}

async fn find(client: &ConsoleClient, id: &str) -> Result<ScenarioState, Failure> {
    let all = client.scenarios().await?;
    let known: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
    let known = known.join(", ");
    let found = all.iter().find(|one| one.id == id).cloned();
    found
        .ok_or_else(|| Failure::Invalid(format!("there is no scenario `{id}`; known are: {known}")))
}

async fn start(one: &One, wanted: ScenarioStart) -> Result<(), Failure> {
    let client = one.at.client()?;
    let receipt = Receipt::start();
    let state = client.start_scenario(&one.id, &wanted).await?;
    let done = json!({ "scenario": state });
    change::finish(&client, one.at.json, receipt, done, || {
        told(&state).join("\n")
    })
    .await
}

async fn stop(one: &One) -> Result<(), Failure> {
    let client = one.at.client()?;
    let receipt = Receipt::start();
    let state = client.stop_scenario(&one.id).await?;
    let done = json!({ "scenario": state });
    let text = || format!("{} is stopped", Styled(BOLD, &one.id));
    change::finish(&client, one.at.json, receipt, done, text).await
}

async fn reveal(one: &One) -> Result<(), Failure> {
    let client = one.at.client()?;
    let receipt = Receipt::start();
    let state = client.reveal_scenario(&one.id).await?;
    let done = json!({ "scenario": state });
    let text = || {
        let told = state
            .revealed
            .as_deref()
            .unwrap_or("there was nothing to reveal");
        format!("{}: {}", Styled(BOLD, &one.id), Styled(NOTE, told))
    };
    change::finish(&client, one.at.json, receipt, done, text).await
}

/// Its story, what to look for, and what it holds while it runs.
fn told(state: &ScenarioState) -> Vec<String> {
    let status = Some(status(state)).filter(|status| !status.is_empty());
    let status = status.map(|status| format!(" ({})", Styled(NOTE, status)));
    let mut lines = vec![
        format!(
            "{}: {}{}",
            Styled(BOLD, &state.id),
            state.title,
            status.unwrap_or_default()
        ),
        state.story.trim().to_owned(),
    ];
    if !state.look_for.is_empty() {
        lines.push("look for:".to_owned());
        let numbered = state.look_for.iter().zip(1..);
        lines.extend(numbered.map(|(what, number)| format!("  {number}. {what}")));
    }
    if !state.rules.is_empty() {
        lines.push(format!("rules: {}", state.rules.join(", ")));
    }
    if !state.changes.is_empty() {
        lines.push(format!(
            "changes the policy of: {}",
            state.changes.join(", ")
        ));
    }
    if let Some(seed) = state.seed {
        let again = format!(
            "the same again: glassmesh chaos scenario start {} --seed {seed}",
            state.id
        );
        lines.push(format!("seed {seed} {}", Styled(DIM, again)));
    }
    if !state.running {
        let time = words::duration(state.time);
        let start = format!(
            "it runs for {time}: glassmesh chaos scenario start {}",
            state.id
        );
        lines.push(Styled(DIM, start).to_string());
    }
    if state.running {
        let verb = if state.mystery { "reveal" } else { "stop" };
        let end = format!("end it: glassmesh chaos scenario {verb} {}", state.id);
        lines.push(Styled(DIM, end).to_string());
    }
    lines.extend(
        state
            .revealed
            .as_ref()
            .map(|what| format!("the last one was: {what}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(running: bool) -> ScenarioState {
        ScenarioState {
            id: "mystery".to_owned(),
            title: "Something is wrong".to_owned(),
            story: "Find it.\n".to_owned(),
            look_for: vec!["a red edge".to_owned(), "its traces".to_owned()],
            mystery: true,
            time: Duration::from_mins(10),
            running,
            left_ms: running.then_some(61_000),
            seed: running.then_some(7),
            rules: Vec::new(),
            changes: Vec::new(),
            revealed: None,
        }
    }

    #[test]
    fn a_started_scenario_tells_its_story_its_seed_and_how_it_ends() {
        let text = told(&state(true)).join("\n");
        let text = anstream::adapter::strip_str(&text).to_string();
        let wanted = "mystery: Something is wrong (runs, 1m 1s left)\nFind it.\nlook for:\n  1. a red edge\n  2. its traces\n\
            seed 7 the same again: glassmesh chaos scenario start mystery --seed 7\n\
            end it: glassmesh chaos scenario reveal mystery";
        assert_eq!(text, wanted);
    }

    #[test]
    fn the_menu_has_a_line_for_each() {
        let text = table(&[state(true), state(false)]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("runs, 1m 1s left"), "{text}");
    }
}
