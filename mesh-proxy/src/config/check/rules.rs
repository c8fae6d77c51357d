//! Chaos rules.

use std::collections::HashMap;

use super::{Findings, policy::bounded};
use crate::config::{Abort, Rule};

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
    check_percent(rule.percent, found);
    found.expect(rule.faults().next().is_some(), "", || {
        "the rule has no fault: give it a `delay`, as `200ms`, an `abort`, as `503`, or another"
            .to_owned()
    });
    if let Some(Abort::Http { status, .. }) = rule.abort {
        found.expect((400..=599).contains(&status), "abort", || {
            format!("{status} is no error status: expected 400 to 599")
        });
    }
    if let Some(delay) = rule.delay {
        found.expect(!delay.mean().is_zero(), "delay", || {
            "a delay of 0 does nothing: expected more, as `200ms`".to_owned()
        });
        bounded("delay", delay.mean(), found);
    }
    bounded("for", rule.ttl, found);
    found.expect(!rule.ttl.is_zero(), "for", || {
        "the rule would end as it begins: expected more than 0, as `10m`".to_owned()
    });
}

/// A share of 0 to 100 under the key `percent`.
pub(super) fn check_percent(percent: f64, found: &mut Findings) {
    found.expect((0.0..=100.0).contains(&percent), "percent", || {
        format!("{percent} is no percentage: expected 0 to 100")
    });
}

fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
