//! Chaos rules: the one place where they are turned on and off.
//!
//! Every change goes through [`Chaos::change`]: it is saved first and published
//! next, so that after a restart of the console what is shown is what is in force.

mod saved;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesh_proxy::config::{FaultKind, Problem, Rule};
use mesh_telemetry::task;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    ConsoleError,
    activity::ActivityLog,
    clock::{Clock, millis},
    roster::Roster,
    snapshots::Published,
};
use saved::Saved;

/// Most rules at once; they travel in every snapshot.
const MOST: usize = 100;

/// Longest description, bytes; it travels in every snapshot, too.
const LONGEST_DESCRIPTION: usize = 1_000;

/// Longest time a rule may be in force: a forgotten one must not outlive the day.
const LONGEST: Duration = Duration::from_hours(24);

/// How often the time of day is looked at while rules are in force: a laptop
/// that slept must not keep a rule for the time it slept.
const LOOK: Duration = Duration::from_millis(250);

/// How far a clock may be slewed back, milliseconds, before it counts as set back.
const SLEW: u64 = 1_000;

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
        let mut rules = saved.rules;
        start_times(&mut rules, clock.now_ms());
        let chaos = Self {
            published: watch::Sender::new(Arc::new(Published::default())),
            order: Arc::default(),
            roster,
            clock,
            activity,
            file,
        };
        chaos.publish(saved.revision + 1, rules);
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
        let text = describe(&rule);
        self.change(|rules| {
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
        self.change(|rules| {
            let index = find(rules, id)?;
            let rule = &mut rules[index];
            if !rule.enabled && !on {
                return Ok(None);
            }
            rule.enabled = on;
            self.switch(rule);
            Ok(Some(describe(rule)))
        })
        .await
    }

    /// Forgets a rule.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), ConsoleError> {
        self.change(|rules| {
            let index = find(rules, id)?;
            rules.remove(index);
            Ok(Some(format!("`{id}` was removed")))
        })
        .await
    }

    /// Turns every rule off.
    pub(crate) async fn halt(&self) -> Result<(), ConsoleError> {
        self.change(|rules| {
            let on: Vec<&mut Rule> = rules.iter_mut().filter(|rule| rule.enabled).collect();
            let count = on.len();
            for rule in on {
                turn_off(rule);
            }
            let rules = if count == 1 { "rule" } else { "rules" };
            Ok((count > 0).then(|| format!("all chaos was halted: {count} {rules} turned off")))
        })
        .await
    }

    /// Turns rules off when their time is over, until `shutdown`.
    pub(crate) async fn expire(&self, shutdown: CancellationToken) {
        let mut published = self.watch();
        loop {
            let left = self.shortest_left(&published.borrow_and_update().rules);
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = published.changed() => if changed.is_err() { return },
                () = pause(left) => self.turn_off_expired().await,
            }
        }
    }

    async fn turn_off_expired(&self) {
        let now = self.clock.now_ms();
        self.shorten(now).await;
        let expire = |rules: &mut Vec<Rule>| {
            let over: Vec<String> = rules
                .iter_mut()
                .filter(|rule| rule.enabled && rule.expires_at_ms.is_some_and(|end| end <= now))
                .map(|rule| {
                    turn_off(rule);
                    format!("`{}`", rule.id)
                })
                .collect();
            let text = format!("{} turned off: its time is over", over.join(", "));
            Ok((!over.is_empty()).then_some(text))
        };
        if let Err(error) = self.change(expire).await {
            tracing::error!(%error, "expired chaos rules could not be turned off");
        }
    }

    /// A clock that was set back must not give a rule more than its time.
    async fn shorten(&self, now: u64) {
        let latest = |rule: &Rule| now.saturating_add(millis(rule.ttl));
        let too_late = |rule: &Rule| {
            let end = rule.expires_at_ms.filter(|_| rule.enabled);
            end.is_some_and(|end| end > latest(rule).saturating_add(SLEW))
        };
        if !self.current().rules.iter().any(too_late) {
            return;
        }
        let shorten = |rules: &mut Vec<Rule>| {
            for rule in rules.iter_mut().filter(|rule| too_late(rule)) {
                rule.expires_at_ms = Some(latest(rule));
            }
            let text = "the clock was set back: rules in force begin their time anew";
            Ok(Some(text.to_owned()))
        };
        if let Err(error) = self.change(shorten).await {
            tracing::error!(%error, "chaos rules could not be shortened");
        }
    }

    /// Applies a change to a copy of the rules; a change that tells nothing is
    /// none, and makes no revision.
    async fn change(
        &self,
        apply: impl FnOnce(&mut Vec<Rule>) -> Result<Option<String>, ConsoleError>,
    ) -> Result<(), ConsoleError> {
        let in_order = Arc::clone(&self.order).lock_owned().await;
        let current = self.current();
        let mut rules = current.rules.to_vec();
        let Some(text) = apply(&mut rules)? else {
            return Ok(());
        };
        self.put_in_force(&current, rules, Some(text), in_order)
            .await;
        Ok(())
    }

    /// Compiles everything anew, because guests came or went.
    pub(crate) async fn remesh(&self) {
        let in_order = Arc::clone(&self.order).lock_owned().await;
        let current = self.current();
        let rules = current.rules.to_vec();
        self.put_in_force(&current, rules, None, in_order).await;
    }

    async fn put_in_force(
        &self,
        current: &Published,
        rules: Vec<Rule>,
        told: Option<String>,
        in_order: OwnedMutexGuard<()>,
    ) {
        let revision = current.revision + 1;
        let saved = Saved::new(revision, self.roster.file(), &rules);
        let next = Arc::new(current.next(&self.roster.mesh(), revision, rules));
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

    fn publish(&self, revision: u64, rules: Vec<Rule>) {
        let next = self.current().next(&self.roster.mesh(), revision, rules);
        self.published.send_replace(Arc::new(next));
    }

    fn check(&self, rule: &Rule) -> Vec<Problem> {
        let mut problems = self.roster.mesh().check_rule(rule);
        if rule.description.len() > LONGEST_DESCRIPTION {
            problems.push(Problem {
                key: "description".to_owned(),
                message: format!("it is longer than {LONGEST_DESCRIPTION} bytes; shorten it"),
            });
        }
        if rule.ttl > LONGEST {
            problems.push(Problem {
                key: "for".to_owned(),
                message: format!(
                    "{} is longer than {}, the longest time of a rule",
                    humantime::format_duration(rule.ttl),
                    humantime::format_duration(LONGEST)
                ),
            });
        }
        problems
    }

    fn switch(&self, rule: &mut Rule) {
        let end = self.clock.now_ms().saturating_add(millis(rule.ttl));
        rule.expires_at_ms = rule.enabled.then_some(end);
    }

    fn shortest_left(&self, rules: &[Rule]) -> Option<Duration> {
        let now = self.clock.now_ms();
        rules
            .iter()
            .filter(|rule| rule.enabled)
            .filter_map(|rule| rule.expires_at_ms)
            .min()
            .map(|end| Duration::from_millis(end.saturating_sub(now)))
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

/// Waits until the next end, or for ever while nothing is in force.
async fn pause(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left.min(LOOK)).await,
        None => std::future::pending().await,
    }
}

fn find(rules: &[Rule], id: &str) -> Result<usize, ConsoleError> {
    rules.iter().position(|rule| rule.id == id).ok_or_else(|| {
        let known: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
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

/// Rules that are on get an end, those whose end is over are turned off.
fn start_times(rules: &mut [Rule], now: u64) {
    for rule in rules.iter_mut() {
        match rule.expires_at_ms {
            _ if !rule.enabled => rule.expires_at_ms = None,
            Some(end) if end <= now => turn_off(rule),
            // More than its whole time is left of none, unless the clock was set back.
            end => {
                let latest = now.saturating_add(millis(rule.ttl));
                rule.expires_at_ms = Some(end.map_or(latest, |end| end.min(latest)));
            }
        }
    }
}

fn describe(rule: &Rule) -> String {
    if !rule.enabled {
        return format!("`{}` is off", rule.id);
    }
    let faults: Vec<&str> = rule.faults().map(FaultKind::as_str).collect();
    let fault = faults.join(" and ");
    format!(
        "`{}` is on: {fault}, {} % of {}, for {}",
        rule.id,
        rule.percent,
        rule.place,
        humantime::format_duration(rule.ttl)
    )
}

#[cfg(test)]
mod tests;
