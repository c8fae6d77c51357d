//! A rule as a file holds it.

use std::io::Read as _;

use anyhow::Context as _;
use mesh_proxy::config::Rule;
use serde_json::Value;

/// Reads a rule from a file, YAML or JSON; `-` for stdin.
pub(super) fn read(file: &str) -> Result<Rule, String> {
    let (name, text) = match file {
        "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            ("stdin", read.map(|_| text))
        }
        file => (file, std::fs::read_to_string(file)),
    };
    let text = text.map_err(|error| format!("--file: cannot read {name}: {error}"))?;
    serde_saphyr::from_str(&text).map_err(|error| format!("--file: {name} holds no rule: {error}"))
}

/// The rule without what it does not say.
pub(super) fn sparse(rule: &Rule) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(rule).context("cannot write the rule")?;
    if let Value::Object(fields) = &mut value {
        // What the console writes when it turns a rule on is its business.
        fields.remove("expires_at_ms");
    }
    prune(&mut value);
    Ok(value)
}

/// Takes away what reads the same when it is absent, and writes whole numbers as such.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|key, value| !says_nothing(key, value));
        }
        Value::Array(all) => all.iter_mut().for_each(prune),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            if let Some(whole) = whole.and_then(|whole| format!("{whole}").parse::<u64>().ok()) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

fn says_nothing(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(false) => key != "enabled",
        Value::String(text) => text.is_empty() && key == "description",
        Value::Array(all) => all.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The same as YAML: what `--file` reads, and what stands in a list under `chaos:`.
pub(in crate::chaos) fn yaml(rule: &Rule) -> anyhow::Result<String> {
    serde_saphyr::to_string(&sparse(rule)?).context("cannot write the rule as YAML")
}
