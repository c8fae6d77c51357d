//! A replay, for people and scripts.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::{Replay, fates::Compared, why::Verdict};
use crate::out::{self, BAD, BOLD, DIM, GOOD, NOTE, Styled};

pub(super) fn lines(replay: &Replay, verdict: &Verdict) -> Vec<String> {
    let asked = &replay.asked;
    let mut lines = vec![
        format!(
            "{} {} with the fate of {}",
            asked.method, asked.url, replay.fate.of
        ),
        format!("answered {}; {}", status(replay), then(replay)),
        format!("new trace {}", Styled(BOLD, &replay.id)),
    ];
    if !verdict.compared.is_empty() {
        lines.push(table(&verdict.compared));
    }
    lines.push(conclusion(replay, verdict));
    let reasons = verdict.reasons.iter();
    lines.extend(reasons.map(|reason| format!("  {}", Styled(NOTE, reason))));
    if asked.url.query().is_none() {
        let hint = "a trace holds no query: --query gives one, if there was any";
        lines.push(Styled(DIM, hint).to_string());
    }
    lines
}

fn status(replay: &Replay) -> String {
    match &replay.status {
        Ok(status) if status.is_server_error() => Styled(BAD, status.as_u16()).to_string(),
        Ok(status) => Styled(GOOD, status.as_u16()).to_string(),
        Err(why) => Styled(BAD, format!("by no status: {why}")).to_string(),
    }
}

fn then(replay: &Replay) -> String {
    match replay.asked.status {
        Some(status) => format!("{status} then"),
        None => "without an answer then".to_owned(),
    }
}

fn table(compared: &[Compared]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["rule", "fault", "at", "attempt", "then", "now"]);
    for one in compared {
        let spot = &one.spot;
        let attempt = spot.attempt.map(|number| number.to_string());
        table.add_row([
            spot.rule.clone(),
            spot.fault.clone(),
            spot.at.clone(),
            attempt.unwrap_or_default(),
            hits(one.before),
            hits(one.now),
        ]);
    }
    out::trimmed(&table)
}

fn hits(count: usize) -> String {
    match count {
        0 => "–".to_owned(),
        1 => "hit".to_owned(),
        several => format!("hit {several} times"),
    }
}

fn conclusion(replay: &Replay, verdict: &Verdict) -> String {
    let nothing = verdict.compared.is_empty();
    match (verdict.same, nothing, &replay.new) {
        (_, _, None) => Styled(BAD, "the new trace is not known").to_string(),
        (true, true, _) => Styled(GOOD, "no rule hit either of them").to_string(),
        (true, false, _) => Styled(GOOD, "the same fate").to_string(),
        (false, _, _) => Styled(BAD, "another fate:").to_string(),
    }
}

pub(super) fn json(replay: &Replay, verdict: &Verdict) -> Value {
    json!({
        "replayed": replay.old.id,
        "fate": replay.fate.of,
        "method": replay.asked.method.as_str(),
        "url": replay.asked.url.to_string(),
        "trace_id": replay.id,
        "status": replay.status.as_ref().ok().map(http::StatusCode::as_u16),
        "error": replay.status.as_ref().err(),
        "status_before": replay.asked.status,
        "same": verdict.same,
        "faults": verdict.compared,
        "reasons": verdict.reasons,
    })
}
