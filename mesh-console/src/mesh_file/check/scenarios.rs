//! Checks of scenarios: their words, their rules, and the policies they lay over.

use std::{collections::BTreeSet, time::Duration};

use mesh_proxy::config::{self, Delay, Place, Rule};

use super::{Found, bad_name, policies::check_edges};
use crate::mesh_file::{Cast, MeshFile, Scenario, Suspect};

/// Longest time of a scenario: that of a rule.
const LONGEST: Duration = Duration::from_hours(24);

impl MeshFile {
    pub(super) fn check_scenarios(&self, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let key = format!("scenarios[{index}]");
            let id = &scenario.id;
            if let Some(message) = bad_name(id) {
                found.add(&format!("{key}.id"), message);
            } else if !seen.insert(id) {
                let message = format!("`{id}` is taken by a scenario above; ids are unique");
                found.add(&format!("{key}.id"), message);
            }
            check_words(&key, scenario, found);
            self.check_cast(&key, scenario, found);
            self.check_mystery(&key, scenario, found);
            self.check_routes(&format!("{key}."), &scenario.routes, found);
            check_edges(&format!("{key}."), &scenario.routes, found);
        }
    }

    fn check_cast(&self, key: &str, scenario: &Scenario, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, cast) in scenario.rules.iter().enumerate() {
            let key = format!("{key}.rules[{index}]");
            let id = match cast {
                Cast::Toggle(id) => id,
                Cast::Own(rule) => &rule.id,
            };
            if !seen.insert(id) {
                found.add(&key, format!("`{id}` is in this scenario already"));
            }
            match cast {
                Cast::Toggle(id) if self.is_toggle(id) => {}
                Cast::Toggle(id) => found.add(&key, self.unknown_toggle(id)),
                Cast::Own(rule) => self.check_own(&key, rule, found),
            }
        }
    }

    fn check_own(&self, key: &str, rule: &Rule, found: &mut Found) {
        if self.is_toggle(&rule.id) {
            let message = format!(
                "`{id}` is a rule under `chaos`; write `{id}` alone to use it, or choose another id",
                id = rule.id
            );
            found.add(&format!("{key}.id"), message);
        }
        self.check_rule_at(key, rule, found);
        check_follows(key, rule, found);
    }

    fn check_mystery(&self, key: &str, scenario: &Scenario, found: &mut Found) {
        if !scenario.is_mystery() {
            return;
        }
        if self.is_toggle(&scenario.id) {
            let message = "the rule of a mystery has the id of its scenario, and a rule under `chaos` has it, too; choose another id";
            found.add(&format!("{key}.id"), message);
        }
        if scenario.mystery.len() < 2 {
            let message = "there is one suspect, which is no riddle; write two or more";
            found.add(&format!("{key}.mystery"), message);
        }
        for (index, suspect) in scenario.mystery.iter().enumerate() {
            self.check_suspect(&format!("{key}.mystery[{index}]"), suspect, found);
        }
    }

    fn check_suspect(&self, key: &str, suspect: &Suspect, found: &mut Found) {
        check_ranges(key, suspect, found);
        let rule_key = format!("{key}.rule");
        check_follows(&rule_key, &suspect.rule, found);
        let mut rule = suspect.rule.clone();
        // A range sets what it is the range of: the rule need not say it.
        if let Some(delay) = suspect.delay {
            rule.delay = Some(Delay::Fixed(delay.from));
        }
        self.check_rule_at(&rule_key, &rule, found);
        for (index, place) in suspect.places.iter().enumerate() {
            rule.place = Place::clone(place);
            for problem in self.check_rule(&rule) {
                if problem.key == "where" {
                    found.add(&format!("{key}.places[{index}]"), problem.message);
                }
            }
        }
    }

    /// Lets the sidecar's own check read the policies that are in force while a
    /// scenario runs. What is wrong without it, too, was named before.
    pub(super) fn check_overlays(&self, found: &mut Found) {
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let key = format!("scenarios[{index}].routes");
            if !scenario.routes.is_empty() && !found.has_below(&key) {
                self.check_overlay(&key, scenario, found);
            }
        }
    }

    fn check_overlay(&self, key: &str, scenario: &Scenario, found: &mut Found) {
        let overlaid = self.laid_over(&scenario.routes);
        for (name, service) in &overlaid.mesh.services {
            let before = config::check(&self.policy_for(name, &[]));
            for problem in config::check(&overlaid.mesh.policy_for(name, &[])) {
                if before.contains(&problem) {
                    continue;
                }
                let source = overlaid.mesh.source_key(name, service, &problem.key);
                let key = overlaid
                    .key_of(key, &source)
                    .unwrap_or_else(|| key.to_owned());
                found.add(&key, problem.message);
            }
        }
    }

    fn is_toggle(&self, id: &str) -> bool {
        self.chaos.iter().any(|rule| rule.id == id)
    }

    fn unknown_toggle(&self, id: &str) -> String {
        let known: Vec<&str> = self.chaos.iter().map(|rule| rule.id.as_str()).collect();
        format!(
            "`{id}` is no rule under `chaos`; there are: {}; or write the whole rule here",
            known.join(", ")
        )
    }
}

fn check_words(key: &str, scenario: &Scenario, found: &mut Found) {
    for (name, text) in [("title", &scenario.title), ("story", &scenario.story)] {
        if text.trim().is_empty() {
            found.add(&format!("{key}.{name}"), "it is empty; say it in words");
        }
    }
    if scenario.look_for.is_empty() {
        let message = "there is nothing to look for; write at least one sentence";
        found.add(&format!("{key}.look_for"), message);
    }
    if scenario.time.is_zero() || scenario.time > LONGEST {
        let message = format!(
            "{} is no time for a scenario; write one up to {}",
            humantime::format_duration(scenario.time),
            humantime::format_duration(LONGEST)
        );
        found.add(&format!("{key}.for"), message);
    }
    let plain = !scenario.rules.is_empty() || !scenario.routes.is_empty();
    if plain == scenario.is_mystery() {
        let message = if plain {
            "a mystery has no `rules` and no `routes`, which would show; move them to another scenario"
        } else {
            "it does nothing; write `rules`, `routes` or a `mystery`"
        };
        found.add(key, message);
    }
}

/// What a rule leaves to its scenario.
fn check_follows(key: &str, rule: &Rule, found: &mut Found) {
    let plain = Rule::new(&rule.id, rule.place.clone());
    for (name, same) in [
        ("enabled", rule.enabled),
        ("for", rule.ttl == plain.ttl),
        ("seed", rule.seed == plain.seed),
    ] {
        if !same {
            let message = "the scenario says it for all its rules: it is on as long as the scenario, with its seed; remove this";
            found.add(&format!("{key}.{name}"), message);
        }
    }
}

fn check_ranges(key: &str, suspect: &Suspect, found: &mut Found) {
    if let Some(range) = suspect.percent
        && !(0.0 < range.from && range.from <= range.to && range.to <= 100.0)
    {
        let message = format!(
            "from {} to {} is no range of shares; write two numbers above 0 and up to 100, the smaller one first",
            range.from, range.to
        );
        found.add(&format!("{key}.percent"), message);
    }
    if let Some(range) = suspect.delay
        && range.from > range.to
    {
        found.add(
            &format!("{key}.delay"),
            "`from` is longer than `to`; swap them",
        );
    }
}
