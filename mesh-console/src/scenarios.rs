//! Scenarios that run: what they put in force, and how it is undone.
//!
//! One runs at a time: each tells what to look for, and two at once would blur it.

mod list;
mod plan;

use std::time::Duration;

use mesh_proxy::config::{Rule, units};
use serde::{Deserialize, Serialize};

use crate::mesh_file::{MeshFile, Scenario};
pub(crate) use list::{edge, list};
pub(crate) use plan::Plan;

/// The scenario that runs, and the mystery that ran last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stage {
    pub(crate) running: Option<Running>,
    past: Option<Past>,
}

/// A scenario that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) seed: u64,
    #[serde(with = "units::duration")]
    pub(crate) time: Duration,
    pub(crate) ends_at_ms: u64,
    pub(crate) plan: Plan,
    /// Ids of its rules that nobody replaced or removed since.
    owned: Vec<String>,
    /// Rules of these ids that were there before.
    before: Vec<Rule>,
}

/// A mystery that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Past {
    id: String,
    answer: String,
    revealed: bool,
}

impl Stage {
    /// Puts a plan on stage and its rules among the others, in the place of those with
    /// their ids.
    pub(crate) fn begin(
        &mut self,
        rules: &mut Vec<Rule>,
        scenario: &Scenario,
        plan: Plan,
        at: Begin,
    ) {
        let mut running = Running {
            id: scenario.id.clone(),
            seed: at.seed,
            time: at.time,
            ends_at_ms: at.ends_at_ms,
            owned: plan.rules.iter().map(|rule| rule.id.clone()).collect(),
            before: Vec::new(),
            plan,
        };
        for planned in &running.plan.rules {
            let mut rule = planned.clone();
            rule.expires_at_ms = Some(at.ends_at_ms);
            match rules.iter_mut().find(|old| old.id == rule.id) {
                Some(old) => running.before.push(std::mem::replace(old, rule)),
                None => rules.push(rule),
            }
        }
        self.past = None;
        self.running = Some(running);
    }

    /// Ends what runs: its rules go, those that were there before come back, off.
    pub(crate) fn end(&mut self, rules: &mut Vec<Rule>) -> Option<Running> {
        let mut running = self.running.take()?;
        for id in &running.owned {
            let Some(index) = rules.iter().position(|rule| rule.id == *id) else {
                continue;
            };
            match running.before.iter().position(|rule| rule.id == *id) {
                Some(place) => {
                    rules[index] = running.before.swap_remove(place);
                    rules[index].enabled = false;
                    rules[index].expires_at_ms = None;
                }
                None => drop(rules.remove(index)),
            }
        }
        if let Some(answer) = running.plan.answer.clone() {
            let id = running.id.clone();
            self.past = Some(Past {
                id,
                answer,
                revealed: false,
            });
        }
        Some(running)
    }

    /// Tells what the mystery that ran last was.
    pub(crate) fn reveal(&mut self, id: &str) -> Option<String> {
        let past = self.past.as_mut().filter(|past| past.id == id)?;
        past.revealed = true;
        Some(past.answer.clone())
    }

    /// Somebody replaced or removed a rule: it is no longer the scenario's.
    pub(crate) fn disown(&mut self, id: &str) {
        if let Some(running) = &mut self.running {
            running.owned.retain(|owned| owned != id);
        }
    }

    /// The scenario whose rule this is.
    pub(crate) fn owner(&self, rule: &str) -> Option<&Running> {
        let running = self.running.as_ref();
        running.filter(|running| running.owned.iter().any(|owned| owned == rule))
    }

    /// Whether nobody may know of this rule yet.
    pub(crate) fn hides(&self, rule: &str) -> bool {
        self.owner(rule).is_some_and(Running::is_hidden)
    }

    /// The mesh with what the running scenario lays over it.
    pub(crate) fn over(&self, mesh: &MeshFile) -> Option<MeshFile> {
        let running = self.running.as_ref()?;
        let routes = &running.plan.routes;
        (!routes.is_empty()).then(|| mesh.laid_over(routes).mesh)
    }

    /// Whether what runs is still what the mesh file says it is.
    pub(crate) fn is_current(&self, mesh: &MeshFile) -> bool {
        self.running.as_ref().is_none_or(|running| {
            let scenario = mesh.scenarios.iter().find(|one| one.id == running.id);
            scenario.is_some_and(|scenario| {
                Plan::make(mesh, scenario, running.seed, running.time) == running.plan
            })
        })
    }

    fn revealed(&self, id: &str) -> Option<&str> {
        let past = self.past.as_ref()?;
        (past.id == id && past.revealed).then_some(past.answer.as_str())
    }
}

impl Running {
    pub(crate) fn is_hidden(&self) -> bool {
        self.plan.answer.is_some()
    }
}

/// How a scenario is begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) ends_at_ms: u64,
}
