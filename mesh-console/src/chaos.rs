//! Chaos rules and scenarios: the one place where they are turned on and off.
//!
//! Every change goes through [`Chaos::change`]: it is saved first and published
//! next, so that after a restart of the console what is shown is what is in force.

mod active;
mod guard;
mod limits;
mod saved;
mod staging;
pub(crate) mod times;
pub(crate) mod words;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mesh_proxy::config::Rule;
use mesh_telemetry::task;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::{
    ConsoleError,
    activity::ActivityLog,
    clock::Clock,
    roster::Roster,
    snapshots::{Draft, Published},
};
pub(crate) use guard::Watched;
pub(crate) use limits::MOST;
use saved::Saved;

/// Rules in force and waiting, and who hears of them.
pub(crate) struct Chaos {
    roster: Roster,
    clock: Clock,
    activity: Arc<ActivityLog>,
    file: Option<PathBuf>,
    /// Held across saving and publishing, so that changes are put in one order.
    order: Arc<Mutex<()>>,
    published: watch::Sender<Arc<Published>>,
}

impl Chaos {
    /// Rules as they were left in `data_dir`, or those of the mesh file.
    pub(crate) fn open(
        roster: Roster,
        clock: Clock,
        activity: Arc<ActivityLog>,
        data_dir: Option<&Path>,
    ) -> Result<Self, ConsoleError> {
        let file = data_dir.map(saved::file_in).transpose()?;
        let saved = saved::open(file.as_deref(), roster.file(), &activity);
        let revision = saved.revision + 1;
        let mut draft = saved.into_draft();
        if let Some(text) = times::resume(&mut draft, clock.now_ms()) {
            activity.add("chaos", text);
        }
        let chaos = Self {
            published: watch::Sender::new(Arc::new(Published::default())),
            order: Arc::default(),
            roster,
            clock,
            activity,
            file,
        };
        let first = chaos.current().next(&chaos.roster.mesh(), revision, draft);
        chaos.published.send_replace(Arc::new(first));
        Ok(chaos)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    pub(crate) fn current(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Adds a rule, or puts it in the place of the one with its id.
    pub(crate) async fn put(&self, mut rule: Rule) -> Result<(), ConsoleError> {
        let problems = self.check(&rule);
        if !problems.is_empty() {
            let id = rule.id;
            return Err(ConsoleError::BadRule { id, problems });
        }
        self.switch(&mut rule);
        let text = words::describe(&rule);
        self.change(|draft| {
            if draft.stage.hides(&rule.id) {
                return Err(ConsoleError::ScenarioRuns { running: rule.id });
            }
            draft.stage.disown(&rule.id);
            let rules = &mut draft.rules;
            match rules.iter().position(|old| old.id == rule.id) {
                Some(old) => rules[old] = rule,
                None if rules.len() >= MOST => {
                    return Err(ConsoleError::TooManyRules { most: MOST });
                }
                None => rules.push(rule),
            }
            Ok(Some(text))
        })
        .await
    }

    /// Turns a rule on, with its time anew, or off.
    pub(crate) async fn turn(&self, id: &str, on: bool) -> Result<(), ConsoleError> {
        self.change(|draft| {
            let index = find(draft, id)?;
            let rule = &mut draft.rules[index];
            if !rule.enabled && !on {
                return Ok(None);
            }
            rule.enabled = on;
            self.switch(rule);
            let text = words::describe(rule);
            let Some(scenario) = draft.stage.owner(id) else {
                return Ok(Some(text));
            };
            // It does not outlive its scenario.
            rule.expires_at_ms = rule.expires_at_ms.map(|end| end.min(scenario.ends_at_ms));
            Ok(Some(format!("{text} (of scenario `{}`)", scenario.id)))
        })
        .await
    }

    /// Forgets a rule.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), ConsoleError> {
        self.change(|draft| {
            let index = find(draft, id)?;
            draft.rules.remove(index);
            draft.stage.disown(id);
            Ok(Some(format!("`{id}` was removed")))
        })
        .await
    }

    /// Turns every rule off, and ends the scenario that runs.
    pub(crate) async fn halt(&self) -> Result<(), ConsoleError> {
        self.change(|draft| {
            let on = draft.rules.iter().filter(|rule| rule.enabled);
            let ids = words::ids(on.map(|rule| rule.id.as_str()));
            let mut parts = Vec::new();
            if !ids.is_empty() {
                parts.push(format!("{ids} turned off"));
            }
            if let Some(ended) = draft.stage.end(&mut draft.rules) {
                parts.push(format!("scenario `{}` ended", ended.id));
            }
            draft.rules.iter_mut().for_each(turn_off);
            let text = format!("all chaos was halted: {}", parts.join(", "));
            Ok((!parts.is_empty()).then_some(text))
        })
        .await
    }

    /// Applies a change to a copy of what is in force; a change that tells nothing is
    /// none, and makes no revision.
    async fn change(
        &self,
        apply: impl FnOnce(&mut Draft) -> Result<Option<String>, ConsoleError>,
    ) -> Result<(), ConsoleError> {
        let in_order = Arc::clone(&self.order).lock_owned().await;
        let current = self.current();
        let mut draft = current.draft();
        let Some(text) = apply(&mut draft)? else {
            return Ok(());
        };
        self.put_in_force(&current, draft, Some(text), in_order)
            .await;
        Ok(())
    }

    /// Compiles everything anew, because guests came or went.
    pub(crate) async fn remesh(&self) {
        let in_order = Arc::clone(&self.order).lock_owned().await;
        let current = self.current();
        let draft = current.draft();
        self.put_in_force(&current, draft, None, in_order).await;
    }

    async fn put_in_force(
        &self,
        current: &Published,
        draft: Draft,
        told: Option<String>,
        in_order: OwnedMutexGuard<()>,
    ) {
        let revision = current.revision + 1;
        let saved = Saved::new(revision, self.roster.file(), &draft);
        let next = Arc::new(current.next(&self.roster.mesh(), revision, draft));
        let (file, activity) = (self.file.clone(), Arc::clone(&self.activity));
        let published = self.published.clone();
        // Begun, it is done to the end, also when the caller goes away meanwhile.
        let putting = task::spawn("chaos_change", async move {
            if let Some(file) = file {
                save(&saved, &file, &activity).await;
            }
            published.send_replace(next);
            if let Some(text) = told {
                activity.add("chaos", text);
            }
            drop(in_order);
        });
        let _panicked = putting.await; // logged there
    }
}

/// A disk that is full must not keep anybody from halting chaos: what cannot
/// be saved is put in force all the same, and said.
async fn save(saved: &Saved, file: &Path, activity: &ActivityLog) {
    if let Err(error) = saved.write(file).await {
        let text = format!(
            "chaos rules could not be saved to {}: {error}; a restart of the console loses this change",
            file.display()
        );
        activity.add("chaos", text);
    }
}

/// A rule that may be known of.
fn find(draft: &Draft, id: &str) -> Result<usize, ConsoleError> {
    let shown = |rule: &&Rule| !draft.stage.hides(&rule.id);
    let found = draft.rules.iter().position(|rule| rule.id == id);
    found.filter(|_| !draft.stage.hides(id)).ok_or_else(|| {
        let known = draft.rules.iter().filter(shown);
        let known: Vec<&str> = known.map(|rule| rule.id.as_str()).collect();
        ConsoleError::UnknownRule {
            id: id.to_owned(),
            known: known.join(", "),
        }
    })
}

fn turn_off(rule: &mut Rule) {
    rule.enabled = false;
    rule.expires_at_ms = None;
}

#[cfg(test)]
mod tests;
