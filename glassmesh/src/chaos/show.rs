//! Rules, for people.

use std::time::Duration;

use comfy_table::{Table, presets};
use mesh_console::api::{ChaosState, RuleState};
use mesh_proxy::config::{Position, Rule};

use crate::out::{self, BOLD, DIM, NOTE, Styled};

pub(super) fn added(state: &RuleState) -> String {
    let rule = &state.rule;
    format!(
        "{}: {} {}, {}",
        Styled(BOLD, &rule.id),
        fault(rule),
        place(rule),
        status(state)
    )
}

pub(super) fn switched(state: &RuleState) -> String {
    format!("{} is {}", Styled(BOLD, &state.rule.id), status(state))
}

pub(super) fn list(state: &ChaosState) {
    if state.rules.is_empty() {
        out::line("there are no rules; `glassmesh chaos add --help` shows how to make one");
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["id", "where", "fault", "state", "injected", "shows"]);
    for rule in &state.rules {
        table.add_row([
            rule.rule.id.clone(),
            rule.rule.place.to_string(),
            fault(&rule.rule),
            status(rule),
            rule.injected.to_string(),
            rule.rule.description.clone(),
        ]);
    }
    out::line(table);
    let receipt = format!(
        "{}/{} sidecars on revision {}",
        state.acknowledged, state.sidecars, state.revision
    );
    out::line(Styled(DIM, receipt));
}

/// `30 % abort 503`
fn fault(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if rule.percent < 100.0 {
        parts.push(format!("{} %", rule.percent));
    }
    if let Some(delay) = rule.delay {
        parts.push(format!("delay {delay}"));
    }
    if let Some(abort) = &rule.abort {
        parts.push(format!("abort {abort}"));
    }
    if rule.position == Position::Request {
        parts.push("(no retry helps)".to_owned());
    }
    parts.join(" ")
}

fn place(rule: &Rule) -> String {
    format!("at {}", Styled(NOTE, &rule.place))
}

fn status(state: &RuleState) -> String {
    match state.expires_in_ms {
        _ if !state.rule.enabled => "off".to_owned(),
        Some(left) => {
            let left = Duration::from_secs(Duration::from_millis(left).as_secs());
            format!("on, {} left", for_people(left))
        }
        None => "on".to_owned(),
    }
}

/// `9m 58s`
fn for_people(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m {}s", seconds % 60),
    }
}
