//! Starting, stopping and revealing scenarios.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::{Chaos, limits, words};
use crate::{
    ConsoleError,
    api::{ScenarioStart, ScenarioState},
    clock::millis,
    mesh_file::{MeshFile, Scenario},
    scenarios::{self, Begin, Plan},
    snapshots::Draft,
};

impl Chaos {
    /// The menu, with what runs.
    pub(crate) fn scenarios(&self) -> Vec<ScenarioState> {
        let now = self.clock.now_ms();
        scenarios::list(self.roster.file(), &self.current().stage, now)
    }

    /// Starts a scenario; refused while one runs.
    pub(crate) async fn start_scenario(
        &self,
        id: &str,
        start: &ScenarioStart,
    ) -> Result<(), ConsoleError> {
        let mesh = self.roster.file();
        let scenario = find(mesh, id)?;
        let time = start.time.unwrap_or(scenario.time);
        check_time(time)?;
        let begin = Begin {
            seed: start.seed.unwrap_or_else(any_seed),
            time,
            ends_at_ms: self.clock.now_ms().saturating_add(millis(time)),
        };
        let plan = Plan::make(mesh, scenario, begin.seed, time);
        let text = started(scenario, &plan, begin);
        self.change(|draft| {
            if let Some(running) = &draft.stage.running {
                let running = running.id.clone();
                return Err(ConsoleError::ScenarioRuns { running });
            }
            if draft.rules.len() + plan.rules.len() > limits::MOST {
                return Err(ConsoleError::TooManyRules { most: limits::MOST });
            }
            draft.stage.begin(&mut draft.rules, scenario, plan, begin);
            Ok(Some(text))
        })
        .await
    }

    /// Stops a scenario; one that does not run is stopped already.
    pub(crate) async fn stop_scenario(&self, id: &str) -> Result<(), ConsoleError> {
        find(self.roster.file(), id)?;
        self.change(|draft| {
            let stopped = runs(draft, id).then(|| draft.stage.end(&mut draft.rules));
            Ok(stopped.map(|_| format!("scenario `{id}` was stopped")))
        })
        .await
    }

    /// Tells what a mystery was, and stops it when it runs.
    pub(crate) async fn reveal_scenario(&self, id: &str) -> Result<(), ConsoleError> {
        if !find(self.roster.file(), id)?.is_mystery() {
            let message = format!("scenario `{id}` is no mystery: its rules are in the list");
            return Err(ConsoleError::NothingToReveal(message));
        }
        self.change(|draft| {
            if runs(draft, id) {
                draft.stage.end(&mut draft.rules);
            }
            let Some(answer) = draft.stage.reveal(id) else {
                let message = format!("scenario `{id}` has not run; start it first");
                return Err(ConsoleError::NothingToReveal(message));
            };
            Ok(Some(format!("scenario `{id}` was revealed: {answer}")))
        })
        .await
    }
}

fn started(scenario: &Scenario, plan: &Plan, begin: Begin) -> String {
    let (id, seed) = (&scenario.id, begin.seed);
    let time = words::time(begin.time);
    let mut parts = vec![format!(
        "scenario `{id}` was started for {time} with seed {seed}"
    )];
    if plan.answer.is_some() {
        parts.push("find out what it does".to_owned());
        return parts.join("; ");
    }
    let rules = plan.rules.iter();
    parts.extend(rules.map(|rule| format!("`{}`: {}", rule.id, words::strikes(rule))));
    let edges: Vec<String> = plan.routes.iter().map(scenarios::edge).collect();
    if !edges.is_empty() {
        parts.push(format!("other policies for {}", edges.join(", ")));
    }
    parts.join("; ")
}

fn runs(draft: &Draft, id: &str) -> bool {
    let running = draft.stage.running.as_ref();
    running.is_some_and(|running| running.id == id)
}

fn find<'a>(mesh: &'a MeshFile, id: &str) -> Result<&'a Scenario, ConsoleError> {
    let found = mesh.scenarios.iter().find(|scenario| scenario.id == id);
    found.ok_or_else(|| {
        let known: Vec<&str> = mesh.scenarios.iter().map(|one| one.id.as_str()).collect();
        ConsoleError::UnknownScenario {
            id: id.to_owned(),
            known: known.join(", "),
        }
    })
}

fn check_time(time: Duration) -> Result<(), ConsoleError> {
    if time.is_zero() || time > limits::LONGEST {
        return Err(ConsoleError::BadRequest(format!(
            "`for`: {} is no time for a scenario; write one up to {}, as 5m",
            words::time(time),
            words::time(limits::LONGEST)
        )));
    }
    Ok(())
}

/// Any seed, short enough to be read out and exact in every JSON reader.
fn any_seed() -> u64 {
    RandomState::new().hash_one(()) & 0xffff
}
