//! Chaos rules: what each says by itself, and whether its parts go together. What only
//! the whole mesh can tell, such as whether a place exists, the console checks.

mod faults;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::{
    Findings,
    policy::{bounded, positive},
};
use crate::config::{FaultKind, Rule};

/// Reports what is wrong with a list of rules under the key `chaos`.
pub(super) fn check(rules: &[Rule], found: &mut Findings) {
    let mut ids = HashMap::new();
    found.each("chaos", rules, |found, index, rule| {
        if let Some(first) = ids.insert(rule.id.as_str(), index) {
            found.report(
                "id",
                format!(
                    "`{}` is the id of chaos[{first}], too: ids must be unique",
                    rule.id
                ),
            );
        }
        check_rule(rule, found);
    });
}

fn check_rule(rule: &Rule, found: &mut Findings) {
    found.expect(is_id(&rule.id), "id", || {
        format!("`{}` is no id: expected 1 to 63 lower-case letters, digits and `-`, as `slow-inventory`", rule.id)
    });
    check_shares(rule, found);
    check_counts(rule, found);
    faults::check(rule, found);
    scope::check(rule, found);
    bounded("for", rule.ttl, found);
    found.expect(!rule.ttl.is_zero(), "for", || {
        "the rule would end as it begins: expected more than 0, as `10m`".to_owned()
    });
    check_schedule(rule, found);
}

fn check_shares(rule: &Rule, found: &mut Findings) {
    check_percent(rule.percent, found);
    found.under("percent_of", |found| {
        for (kind, percent) in &rule.percent_of {
            let has = rule.faults().any(|other| other == *kind);
            found.expect(has, kind.as_str(), || {
                format!("the rule has no `{kind}`: give it one, or leave this share out")
            });
            check_share(kind.as_str(), *percent, found);
        }
    });
}

/// A share of 0 to 100 under the key `percent`.
pub(super) fn check_percent(percent: f64, found: &mut Findings) {
    check_share("percent", percent, found);
}

fn check_share(key: &str, percent: f64, found: &mut Findings) {
    found.expect((0.0..=100.0).contains(&percent), key, || {
        format!("{percent} is no percentage: expected 0 to 100")
    });
}

fn check_counts(rule: &Rule, found: &mut Findings) {
    let counts = [
        ("first_attempts", rule.first_attempts.map(u64::from)),
        ("first_requests", rule.first_requests),
        ("max_affected", rule.max_affected.map(|most| most as u64)),
    ];
    for (key, count) in counts {
        found.expect(count != Some(0), key, || {
            "0 would let the rule strike nothing: expected 1 or more, or leave it out for no such limit".to_owned()
        });
    }
}

fn check_schedule(rule: &Rule, found: &mut Findings) {
    let (schedule, ttl) = (&rule.schedule, rule.ttl);
    found.under("schedule", |found| {
        for (key, time) in [("after", schedule.after), ("ramp", schedule.ramp)] {
            bounded(key, time.unwrap_or_default(), found);
        }
        check_cycle(rule, found);
        let quiet = schedule.after.unwrap_or_default();
        let strikes = quiet.is_zero() || quiet < ttl;
        found.expect(strikes, "after", || {
            format!("the rule ends after {ttl:?}, before it strikes: make this shorter, or `for` longer")
        });
        let ramp = schedule.ramp.unwrap_or_default();
        let rises = ramp.is_zero() || !strikes || quiet.saturating_add(ramp) <= ttl;
        found.expect(rises, "ramp", || {
            format!("the rule ends after {ttl:?}, before it has its full share: make this shorter, or `for` longer")
        });
    });
}

fn check_cycle(rule: &Rule, found: &mut Findings) {
    let (on, off) = (rule.schedule.on, rule.schedule.off);
    for (key, time, other, other_time) in [("on", on, "off", off), ("off", off, "on", on)] {
        match time {
            Some(time) => positive(key, time, found),
            None => found.expect(other_time.is_none(), key, || {
                format!("`{other}` alone makes no cycle: give both, as `on: 10s` and `off: 20s`, or neither")
            }),
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Kinds that leave nothing for those behind them.
const LAST_WORDS: [FaultKind; 4] = [
    FaultKind::Refuse,
    FaultKind::Reset,
    FaultKind::Hang,
    FaultKind::Abort,
];
