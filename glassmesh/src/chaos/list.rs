//! `glassmesh chaos list`: all rules on one page.

use comfy_table::{Cell, Color, ContentArrangement, Row, Table, presets};
use mesh_console::api::{ChaosState, RuleState};

use super::words;
use crate::{
    console_client::ConsoleAt,
    failure::Failure,
    out::{self, BAD, BOLD, DIM, NOTE, Styled},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  glassmesh chaos list
  glassmesh chaos list --json | jq '.rules[] | select(.rule.enabled) | .rule.id'

Of a rule that is on, the list says what share of what matches it hits now (by its schedule),
how many sidecars hold it, how many requests met its conditions and how many of them it hit.";

pub(super) async fn run(at: &ConsoleAt) -> Result<(), Failure> {
    let state = at.client()?.chaos().await?;
    if at.json {
        out::json(&state)?;
    } else {
        lines(&state).iter().for_each(out::line);
    }
    Ok(())
}

fn lines(state: &ChaosState) -> Vec<String> {
    let mut lines = Vec::new();
    if state.rules.is_empty() {
        lines.push(
            "there are no rules; `glassmesh chaos add --help` shows how to make one".to_owned(),
        );
    } else {
        lines.push(table(&state.rules));
    }
    lines.extend(state.rules.iter().filter_map(nothing));
    lines.extend(halted(state));
    let receipt = format!(
        "{}/{} sidecars on revision {}",
        state.acknowledged, state.sidecars, state.revision
    );
    let style = if state.acknowledged < state.sidecars {
        BAD
    } else {
        DIM
    };
    lines.push(Styled(style, receipt).to_string());
    lines
}

fn table(rules: &[RuleState]) -> String {
    let scenarios = rules.iter().any(|rule| rule.scenario.is_some());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let mut header = vec![
        "id",
        "where",
        "what",
        "share",
        "left",
        "sidecars",
        "matched/hit",
        "last",
    ];
    header.extend(scenarios.then_some("scenario"));
    header.push("shows");
    table.set_header(header);
    for rule in rules {
        table.add_row(row(rule, scenarios));
    }
    out::trimmed(&table)
}

fn row(state: &RuleState, scenarios: bool) -> Row {
    let (rule, met) = (&state.rule, &state.receipt);
    let mut cells = vec![rule.id.clone(), rule.place.to_string(), words::faults(rule)];
    if rule.enabled {
        cells.push(words::share(state));
        cells.push(
            state
                .expires_in_ms
                .map_or_else(String::new, words::milliseconds),
        );
        cells.push(met.sidecars.to_string());
        cells.push(format!("{}/{}", met.matched, met.struck));
        cells.push(words::ago(met.last_ms));
    } else {
        cells.push("off".to_owned());
        cells.extend(std::iter::repeat_n(String::new(), 4));
    }
    if scenarios {
        cells.push(state.scenario.clone().unwrap_or_default());
    }
    cells.push(rule.description.clone());
    let color = rule.enabled.then_some(Color::Yellow);
    let cell = |text: String| match color {
        Some(color) => Cell::new(text).fg(color),
        None => Cell::new(text),
    };
    cells.into_iter().map(cell).collect::<Vec<Cell>>().into()
}

/// `payments-hang: 0 of 214 requests matched; nearest: …`
fn nothing(state: &RuleState) -> Option<String> {
    let why = state.receipt.nothing.as_ref()?;
    Some(format!(
        "{}: {}",
        Styled(BOLD, &state.rule.id),
        Styled(NOTE, why)
    ))
}

/// Sidecars that hold no rules although rules are on.
fn halted(state: &ChaosState) -> Option<String> {
    if state.halted.is_empty() {
        return None;
    }
    let text = format!(
        "halted at {} by a signal or the admin API: no rule is in force there until the rules change",
        state.halted.join(", ")
    );
    Some(Styled(BAD, text).to_string())
}

#[cfg(test)]
mod tests {
    use mesh_console::api::RuleReceipt;

    use super::*;

    fn state(rule: &str) -> RuleState {
        let rule: mesh_proxy::config::Rule = serde_saphyr::from_str(rule).unwrap();
        RuleState {
            expires_in_ms: rule.enabled.then_some(118_000),
            percent_now: rule.percent,
            rule,
            injected: 0,
            receipt: RuleReceipt {
                sidecars: 9,
                seen: 300,
                matched: 214,
                struck: 64,
                ..RuleReceipt::default()
            },
            scenario: None,
        }
    }

    fn plain(rules: Vec<RuleState>, halted: Vec<String>) -> String {
        let state = ChaosState {
            revision: 12,
            acknowledged: 9,
            sidecars: 9,
            halted,
            rules,
        };
        let lines = lines(&state).join("\n");
        anstream::adapter::strip_str(&lines).to_string()
    }

    #[test]
    fn a_rule_in_force_says_what_it_met_and_one_that_is_off_does_not() {
        let on = state("{ id: flaky, where: orders -> payments, percent: 30, abort: 503 }");
        let off = state("{ id: slow, where: inventory, delay: 400ms, enabled: false }");
        let text = plain(vec![on, off], Vec::new());
        let line = |id: &str| {
            text.lines()
                .find(|line| line.contains(id))
                .unwrap()
                .to_owned()
        };
        for part in [
            "orders -> payments",
            "abort 503",
            "30 %",
            "1m 58s",
            "214/64",
            "never",
        ] {
            assert!(line("flaky").contains(part), "no {part}: {text}");
        }
        assert!(!line("slow").contains("214"), "{text}");
        assert!(!text.contains("scenario"), "{text}");
    }

    #[test]
    fn what_a_rule_does_not_match_and_who_was_halted_is_said() {
        let mut rule = state("{ id: a, where: b, hang: true }");
        rule.receipt.nothing = Some("0 of 214 requests matched".to_owned());
        rule.scenario = Some("brown-out".to_owned());
        let text = plain(vec![rule], vec!["payments-2".to_owned()]);
        assert!(text.contains("a: 0 of 214 requests matched"), "{text}");
        assert!(text.contains("halted at payments-2"), "{text}");
        assert!(text.contains("brown-out"), "{text}");
    }
}
