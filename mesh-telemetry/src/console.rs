//! What the console shows of the chaos rules in force, for annotations on dashboards.
//!
//! Ids come and go as people like, and the recorder forgets no series. So these are
//! kept here, as a whole, and a series ends when its rule is turned off.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::catalog::{CHAOS_RULE_ACTIVE, CHAOS_RULE_DELAY, CHAOS_RULE_SHARE, Metric};

/// A rule in force.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRule {
    /// Its id.
    pub id: String,
    /// Where it strikes; `hidden` for a mystery.
    pub place: String,
    /// The scenario that it belongs to; empty: none.
    pub scenario: String,
    /// Share in force now, 0 to 1; none for a mystery.
    pub share: Option<f64>,
    /// Mean delay that it asks for, seconds; none without one, and for a mystery.
    pub delay: Option<f64>,
}

/// Of the process, like the recorder.
static RULES: Mutex<Vec<ActiveRule>> = Mutex::new(Vec::new());

/// Shows these rules, and no others any more.
pub fn show_rules(active: Vec<ActiveRule>) {
    *rules() = active;
}

fn rules() -> MutexGuard<'static, Vec<ActiveRule>> {
    RULES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the series to a page of metrics.
pub(crate) fn render(page: &mut String) {
    render_all(page, &rules());
}

fn render_all(page: &mut String, rules: &[ActiveRule]) {
    let active = rules.iter().map(|rule| (rule, Some(1.0)));
    add(page, &CHAOS_RULE_ACTIVE, active);
    let share = rules.iter().map(|rule| (rule, rule.share));
    add(page, &CHAOS_RULE_SHARE, share);
    let delay = rules.iter().map(|rule| (rule, rule.delay));
    add(page, &CHAOS_RULE_DELAY, delay);
}

fn add<'a>(
    page: &mut String,
    metric: &Metric,
    values: impl Iterator<Item = (&'a ActiveRule, Option<f64>)>,
) {
    let mut values = values
        .filter_map(|(rule, value)| Some((rule, value?)))
        .peekable();
    if values.peek().is_none() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(page, "# HELP {} {}", metric.name, metric.help);
    let _ = writeln!(page, "# TYPE {} {}", metric.name, metric.kind.as_str());
    for (rule, value) in values {
        page.push_str(metric.name);
        for (name, before) in metric.labels.iter().zip("{,,".chars()) {
            let label = match *name {
                "rule" => &rule.id,
                "place" => &rule.place,
                _ => &rule.scenario,
            };
            let _ = write!(page, "{before}{name}=\"{}\"", escaped(label));
        }
        let _ = writeln!(page, "}} {value}");
    }
    page.push('\n');
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{ActiveRule, render_all};

    #[test]
    fn a_rule_in_force_is_a_series_and_what_is_hidden_has_no_numbers() {
        let plain = ActiveRule {
            id: "slow".to_owned(),
            place: "orders -> users".to_owned(),
            scenario: String::new(),
            share: Some(0.5),
            delay: Some(0.4),
        };
        let hidden = ActiveRule {
            id: "mystery".to_owned(),
            place: "hidden".to_owned(),
            scenario: "mystery".to_owned(),
            share: None,
            delay: None,
        };
        let mut page = String::new();
        render_all(&mut page, &[plain, hidden]);
        for line in [
            "mesh_chaos_rule_active{rule=\"slow\",place=\"orders -> users\",scenario=\"\"} 1\n",
            "mesh_chaos_rule_active{rule=\"mystery\",place=\"hidden\",scenario=\"mystery\"} 1\n",
            "mesh_chaos_rule_share_ratio{rule=\"slow\"} 0.5\n",
            "mesh_chaos_rule_delay_seconds{rule=\"slow\"} 0.4\n",
        ] {
            assert!(page.contains(line), "{line} not in {page}");
        }
        assert_eq!(page.matches("mystery\"").count(), 2, "{page}");
        let mut nothing = String::new();
        render_all(&mut nothing, &[]);
        assert_eq!(nothing, "");
    }
}
