//! Ends of rules and scenarios.

use std::time::Duration;

use mesh_proxy::config::Rule;
use tokio_util::sync::CancellationToken;

use super::{Chaos, turn_off, words};
use crate::{clock::millis, snapshots::Draft};

/// How often the time of day is looked at while rules are in force: a laptop
/// that slept must not keep a rule for the time it slept.
const LOOK: Duration = Duration::from_millis(250);

/// How far a clock may be slewed back, milliseconds, before it counts as set back.
const SLEW: u64 = 1_000;

impl Chaos {
    /// Turns rules off, and ends scenarios, when their time is over, until `shutdown`.
    pub(crate) async fn expire(&self, shutdown: CancellationToken) {
        let mut published = self.watch();
        loop {
            let left = {
                let current = published.borrow_and_update();
                next_end(current.ends(), self.clock.now_ms())
            };
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
        if self.current().ends().all(|end| end > now) {
            return;
        }
        let expire = |draft: &mut Draft| Ok(end_expired(draft, now));
        if let Err(error) = self.change(expire).await {
            tracing::error!(%error, "expired chaos rules could not be turned off");
        }
    }

    /// A clock that was set back must not give a rule more than its time.
    pub(super) async fn shorten(&self, now: u64) {
        if !self.current().draft().shorten(now) {
            return;
        }
        let shorten = |draft: &mut Draft| {
            let text = "the clock was set back: rules in force begin their time anew";
            Ok(draft.shorten(now).then(|| text.to_owned()))
        };
        if let Err(error) = self.change(shorten).await {
            tracing::error!(%error, "chaos rules could not be shortened");
        }
    }

    pub(super) fn switch(&self, rule: &mut Rule) {
        let end = self.clock.now_ms().saturating_add(millis(rule.ttl));
        rule.expires_at_ms = rule.enabled.then_some(end);
    }
}

impl Draft {
    /// Cuts what ends later than its whole time from now; tells whether anything did.
    fn shorten(&mut self, now: u64) -> bool {
        let mut shortened = false;
        let mut cut = |end: &mut u64, whole: Duration| {
            let latest = now.saturating_add(millis(whole));
            if *end > latest.saturating_add(SLEW) {
                *end = latest;
                shortened = true;
            }
        };
        for rule in self.rules.iter_mut().filter(|rule| rule.enabled) {
            if let Some(end) = &mut rule.expires_at_ms {
                cut(end, rule.ttl);
            }
        }
        if let Some(running) = &mut self.stage.running {
            cut(&mut running.ends_at_ms, running.time);
        }
        shortened
    }
}

/// Ends what is over; tells what that was.
fn end_expired(draft: &mut Draft, now: u64) -> Option<String> {
    let mut parts = Vec::new();
    let over = |running: &crate::scenarios::Running| running.ends_at_ms <= now;
    if draft.stage.running.as_ref().is_some_and(over) {
        let ended = draft.stage.end(&mut draft.rules);
        parts.extend(ended.map(|ended| format!("scenario `{}` ended", ended.id)));
    }
    let rules = draft.rules.iter_mut();
    let expired: Vec<&str> = rules
        .filter(|rule| rule.enabled && rule.expires_at_ms.is_some_and(|end| end <= now))
        .map(|rule| {
            turn_off(rule);
            rule.id.as_str()
        })
        .collect();
    if !expired.is_empty() {
        parts.push(format!("{} turned off", words::ids(expired)));
    }
    (!parts.is_empty()).then(|| format!("{}: its time is over", parts.join(", ")))
}

/// Share that is in force now, of the fault that strikes most; 0 when off.
pub(crate) fn percent_now(rule: &Rule, now: u64) -> f64 {
    if !rule.enabled {
        return 0.0;
    }
    let percents = rule.faults().map(|kind| rule.percent_of(kind));
    percents.fold(0.0, f64::max) * rule.schedule.share(on_since(rule, now))
}

/// Time since a rule was turned on.
pub(super) fn on_since(rule: &Rule, now: u64) -> Duration {
    let left = rule.expires_at_ms.unwrap_or(now).saturating_sub(now);
    Duration::from_millis(millis(rule.ttl).saturating_sub(left))
}

fn next_end(ends: impl Iterator<Item = u64>, now: u64) -> Option<Duration> {
    ends.min()
        .map(|end| Duration::from_millis(end.saturating_sub(now)))
}

/// Waits until the next end, or for ever while nothing is in force.
async fn pause(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left.min(LOOK)).await,
        None => std::future::pending().await,
    }
}

/// After a start of the console: rules that are on get an end, what ended meanwhile is
/// ended. Tells of a scenario that is.
pub(super) fn resume(draft: &mut Draft, now: u64) -> Option<String> {
    let over = |running: &crate::scenarios::Running| running.ends_at_ms <= now;
    let mut ended = None;
    if draft.stage.running.as_ref().is_some_and(over) {
        ended = draft.stage.end(&mut draft.rules);
    }
    if let Some(running) = &mut draft.stage.running {
        let latest = now.saturating_add(millis(running.time));
        running.ends_at_ms = running.ends_at_ms.min(latest);
    }
    for rule in &mut draft.rules {
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
    ended.map(|ended| {
        format!(
            "scenario `{}` ended while the console was away: its time is over",
            ended.id
        )
    })
}
