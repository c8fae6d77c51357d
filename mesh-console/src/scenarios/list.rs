//! The menu, as the API shows it.

use super::{Running, Stage};
use crate::{
    api::ScenarioState,
    mesh_file::{Cast, EdgePolicy, MeshFile, Scenario},
};

/// Every scenario of the file, in its order.
pub(crate) fn list(mesh: &MeshFile, stage: &Stage, now_ms: u64) -> Vec<ScenarioState> {
    let scenarios = mesh.scenarios.iter();
    scenarios
        .map(|scenario| state(scenario, stage, now_ms))
        .collect()
}

fn state(scenario: &Scenario, stage: &Stage, now_ms: u64) -> ScenarioState {
    let running = stage.running.as_ref();
    let running = running.filter(|running| running.id == scenario.id);
    ScenarioState {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        story: scenario.story.clone(),
        look_for: scenario.look_for.clone(),
        mystery: scenario.is_mystery(),
        time: scenario.time,
        running: running.is_some(),
        left_ms: running.map(|running| running.ends_at_ms.saturating_sub(now_ms)),
        seed: running.map(|running| running.seed),
        rules: rules(scenario, running),
        changes: scenario.routes.iter().map(edge).collect(),
        revealed: stage.revealed(&scenario.id).map(ToOwned::to_owned),
    }
}

/// Ids of its rules; while it runs those that are still its own.
fn rules(scenario: &Scenario, running: Option<&Running>) -> Vec<String> {
    match running {
        Some(running) if running.is_hidden() => Vec::new(),
        Some(running) => running.owned.clone(),
        None => {
            let ids = scenario.rules.iter().map(|cast| match cast {
                Cast::Toggle(id) => id.clone(),
                Cast::Own(rule) => rule.id.clone(),
            });
            ids.collect()
        }
    }
}

/// An edge in words.
pub(crate) fn edge(edge: &EdgePolicy) -> String {
    let from = edge.from.as_deref().unwrap_or("everybody");
    format!("{from} -> {}", edge.to)
}
