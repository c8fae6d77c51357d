//! What of a changed configuration only a restart can put in force.

use serde_json::Value;

use crate::config::{Problem, SidecarConfig};

/// Keys that can change while a sidecar runs.
const SWAPPED: [&str; 2] = ["policy", "telemetry.sample_ratio"];

/// Longest value that is quoted, in characters.
const QUOTED: usize = 80;

/// Every key that differs and can only change with a restart.
pub(crate) fn restart_needed(old: &SidecarConfig, new: &SidecarConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A configuration is plain data with string keys: writing it cannot fail.
    if let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) {
        compare("", &old, &new, &mut problems);
    }
    problems
}

fn compare(key: &str, old: &Value, new: &Value, problems: &mut Vec<Problem>) {
    if old == new || SWAPPED.contains(&key) {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        problems.push(Problem {
            key: key.to_owned(),
            message: format!(
                "changed from {} to {}, which needs a restart; until then nothing of the file is put in force",
                quoted(old),
                quoted(new)
            ),
        });
        return;
    };
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for name in keys {
        let path = if key.is_empty() {
            name.clone()
        } else {
            format!("{key}.{name}")
        };
        let part = |whole: &serde_json::Map<String, Value>| {
            whole.get(name).cloned().unwrap_or(Value::Null)
        };
        compare(&path, &part(before), &part(after), problems);
    }
}

fn quoted(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    };
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…`", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{SidecarConfig, restart_needed};

    const FILE: &str = "
service: orders
instance: orders-1
outbound: { listen: 127.0.0.1:1 }
admin: 127.0.0.1:2
metrics: 127.0.0.1:3
";

    fn keys(change: impl FnOnce(&mut SidecarConfig)) -> Vec<String> {
        let old = SidecarConfig::parse(FILE).unwrap();
        let mut new = old.clone();
        change(&mut new);
        let problems = restart_needed(&old, &new).into_iter();
        problems.map(|problem| problem.key).collect()
    }

    #[test]
    fn listeners_and_names_need_a_restart_and_are_named_by_their_key() {
        let found = keys(|new| {
            new.instance = "orders-2".to_owned();
            new.outbound.as_mut().unwrap().listen.set_port(9);
            new.telemetry.otlp = Some("http://c:4317".to_owned());
        });
        assert_eq!(found, ["instance", "outbound.listen", "telemetry.otlp"]);
    }

    #[test]
    fn policy_and_sampling_do_not() {
        let found = keys(|new| {
            new.policy.inbound.max_in_flight = Some(1);
            new.telemetry.sample_ratio = 0.5;
        });
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_part_that_goes_is_named_as_a_whole() {
        assert_eq!(keys(|new| new.outbound = None), ["outbound"]);
    }
}
