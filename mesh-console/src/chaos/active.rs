//! Rules in force as series of the console's own metrics page: dashboards mark by them
//! when a rule began and ended.

use mesh_proxy::config::Rule;
use mesh_telemetry::console::ActiveRule;

use super::{Chaos, times::percent_now};
use crate::scenarios::Stage;

/// In place of where a mystery strikes.
const HIDDEN: &str = "hidden";

impl Chaos {
    /// Rules in force now. A mystery shows that it runs, and nothing else.
    pub(crate) fn active(&self) -> Vec<ActiveRule> {
        let current = self.current();
        let now = self.clock.now_ms();
        let on = current.rules.iter().filter(|rule| rule.enabled);
        on.map(|rule| active(rule, &current.stage, now)).collect()
    }
}

fn active(rule: &Rule, stage: &Stage, now: u64) -> ActiveRule {
    let scenario = stage.owner(&rule.id);
    let scenario = scenario.map(|running| running.id.clone());
    let shown = (!stage.hides(&rule.id)).then_some(rule);
    ActiveRule {
        id: rule.id.clone(),
        place: shown.map_or_else(|| HIDDEN.to_owned(), |rule| rule.place.to_string()),
        scenario: scenario.unwrap_or_default(),
        share: shown.map(|rule| percent_now(rule, now) / 100.0),
        delay: shown
            .and_then(|rule| rule.delay)
            .map(|delay| delay.mean().as_secs_f64()),
    }
}
