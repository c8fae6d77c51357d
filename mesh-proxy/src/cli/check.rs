//! `check FILE`: everything that is wrong with a configuration file.

use std::{fmt::Write as _, path::Path};

use serde_json::json;

use super::{Report, read};
use crate::{
    config::{Problem, SidecarConfig, check_sidecar},
    error::RunError,
    lint::{Advice, lint},
};

pub(super) fn check(file: &Path, as_json: bool) -> Report {
    let config = read(file);
    let problems = match &config {
        Ok(config) => check_sidecar(config),
        Err(error) => vec![unreadable(error)],
    };
    let name = file.display().to_string();
    // Advice about what cannot be put in force would only hide why.
    let sound = config.as_ref().ok().filter(|_| problems.is_empty());
    let warnings = sound.map_or_else(Vec::new, advice);
    let text = if as_json {
        let whole = json!({ "file": name, "problems": problems, "warnings": warnings });
        format!("{whole:#}")
    } else {
        let mut text = told(&name, sound, &problems);
        for warning in &warnings {
            let _ = write!(text, "\n  warning: {warning}"); // a string takes everything
        }
        text
    };
    Report {
        text,
        good: problems.is_empty(),
    }
}

fn advice(config: &SidecarConfig) -> Vec<Advice> {
    let mut advice = lint(&config.policy);
    for one in &mut advice {
        one.key.insert_str(0, "policy.");
    }
    advice
}

/// The whole file is the place of what keeps it from being read.
fn unreadable(error: &RunError) -> Problem {
    let message = match error {
        RunError::File { cause, .. } => cause.clone(),
        other => other.to_string(),
    };
    let key = String::new();
    Problem { key, message }
}

fn told(file: &str, config: Option<&SidecarConfig>, problems: &[Problem]) -> String {
    let mut text = match (problems.len(), config) {
        (0, Some(config)) => fine(file, config),
        (1, _) => format!("{file} has a problem:"),
        (several, _) => format!("{file} has {several} problems:"),
    };
    for Problem { key, message } in problems {
        let place = if key.is_empty() { "" } else { ": " };
        let message = message.replace('\n', "\n    ");
        let _ = write!(text, "\n  {key}{place}{message}"); // a string takes everything
    }
    text
}

fn fine(file: &str, config: &SidecarConfig) -> String {
    let policy = &config.policy;
    format!(
        "{file} is fine: {}, {}, {} for {}",
        count(policy.routes.len(), "route"),
        count(policy.clusters.len(), "cluster"),
        count(policy.chaos.len(), "chaos rule"),
        config.instance,
    )
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
