//! Rules in words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_console::api::RuleState;
use mesh_proxy::config::{Arm, FaultKind, HeaderChanges, Position, Rule, units::size};

/// `delay 200ms + abort 503`, each with its share where they have different ones.
pub(super) fn faults(rule: &Rule) -> String {
    let alike = rule.percent_of.is_empty();
    let fault = |kind| {
        let share = format!("{} % ", rule.percent_of(kind));
        let share = if alike { String::new() } else { share };
        share + &fault(rule, kind)
    };
    let faults: Vec<String> = rule.faults().map(fault).collect();
    faults.join(" + ")
}

fn fault(rule: &Rule, kind: FaultKind) -> String {
    let size = |bytes: u64| size::Shown(bytes).to_string();
    let value = match kind {
        FaultKind::RequestHeaders => Some(headers(&rule.request_headers)),
        FaultKind::ResponseHeaders => Some(headers(&rule.response_headers)),
        FaultKind::Delay => rule.delay.map(|delay| delay.to_string()),
        FaultKind::ChunkDelay => rule.chunk_delay.map(|delay| delay.to_string()),
        FaultKind::Abort => rule.abort.as_ref().map(ToString::to_string),
        FaultKind::Throttle => rule.throttle.map(|rate| rate.to_string()),
        FaultKind::Truncate => rule.truncate.map(|cut| size(cut.after)),
        FaultKind::Corrupt => rule.corrupt.map(size),
        FaultKind::Refuse | FaultKind::Reset | FaultKind::Hang => None,
    };
    match value {
        Some(value) => format!("{kind} {value}"),
        None => kind.to_string(),
    }
}

/// `x-a, x-b`: the names say enough.
fn headers(changes: &HeaderChanges) -> String {
    let names = changes.set.keys().chain(changes.add.keys());
    let names: Vec<&str> = names.chain(&changes.remove).map(String::as_str).collect();
    names.join(", ")
}

/// `30 % abort 503 at payments`, and what narrows it.
pub(super) fn sentence(rule: &Rule) -> String {
    let mut text = String::new();
    if rule.percent < 100.0 && rule.percent_of.is_empty() {
        text = format!("{} % ", rule.percent);
    }
    text = format!("{text}{} at {}", faults(rule), rule.place);
    if rule.position == Position::Request {
        text.push_str(" (no retry helps)");
    }
    if !rule.matches.is_everything() {
        text.push_str(", for requests that match");
    }
    if rule.arm == Arm::Baggage {
        text.push_str(", for requests that ask for it");
    }
    text
}

/// `on, 1m 58s left`
pub(super) fn status(state: &RuleState) -> String {
    match state.expires_in_ms {
        _ if !state.rule.enabled => "off".to_owned(),
        Some(left) => format!("on, {} left", milliseconds(left)),
        None => "on".to_owned(),
    }
}

/// `30 %`, or `12 of 30 %` where a schedule holds the rest back.
pub(super) fn share(state: &RuleState) -> String {
    let (now, whole) = (state.percent_now, state.rule.percent);
    match state.rule.enabled {
        false => "–".to_owned(),
        true if (now - whole).abs() < 0.05 => format!("{whole} %"),
        true => format!("{} of {whole} %", tenths(now)),
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// `9m 58s`; what is left of a time, or has gone by.
pub(super) fn milliseconds(time: u64) -> String {
    duration(Duration::from_millis(time))
}

/// `1h 2m`, `9m 58s`, `58s`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (hours, minutes) => format!("{hours}h {}m", minutes % 60),
    }
}

/// `3s ago`; `never`.
pub(super) fn ago(at_ms: Option<u64>) -> String {
    let Some(at) = at_ms else {
        return "never".to_owned();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let gone = now
        .unwrap_or_default()
        .saturating_sub(Duration::from_millis(at));
    format!("{} ago", duration(gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(yaml: &str) -> Rule {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn a_rule_is_told_in_one_line() {
        let told = sentence(&rule(
            "{ id: a, where: orders -> payments, percent: 30, abort: 503, delay: 'normal:200ms:50ms', \
             percent_of: { delay: 50 }, position: request, arm: baggage, corrupt: 64B, \
             response_headers: { set: { x-b: c }, remove: [x-a] } }",
        ));
        assert_eq!(
            told,
            "50 % delay normal:200ms:50ms + 30 % abort 503 + 30 % response_headers x-b, x-a \
             + 30 % corrupt 64B \
             at orders -> payments (no retry helps), for requests that ask for it"
        );
    }

    #[test]
    fn a_share_that_a_schedule_holds_back_is_told_beside_the_whole() {
        let state = |percent_now, enabled| RuleState {
            rule: Rule {
                enabled,
                percent: 30.0,
                ..Rule::new("a", "payments".parse().unwrap())
            },
            expires_in_ms: Some(3_725_000),
            injected: 0,
            receipt: mesh_console::api::RuleReceipt::default(),
            percent_now,
            scenario: None,
        };
        assert_eq!(share(&state(30.0, true)), "30 %");
        assert_eq!(share(&state(12.345, true)), "12.3 of 30 %");
        assert_eq!(share(&state(0.0, false)), "–");
        assert_eq!(status(&state(0.0, true)), "on, 1h 2m left");
    }
}
