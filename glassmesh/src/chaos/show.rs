//! `glassmesh chaos show`: one rule, and everything that became of it.

use std::time::Duration;

use mesh_console::api::{ChaosState, RuleState};
use mesh_proxy::config::Schedule;

use super::{RuleAt, add, words};
use crate::{
    failure::Failure,
    out::{self, BAD, BOLD, DIM, GOOD, NOTE, Styled},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  glassmesh chaos show flaky-payments
  glassmesh chaos show flaky-payments --json | jq .receipt";

pub(super) async fn run(args: &RuleAt) -> Result<(), Failure> {
    let client = args.at.client()?;
    let all = client.chaos().await?;
    let Some(state) = all.rules.iter().find(|state| state.rule.id == args.id) else {
        return Err(unknown(&args.id, &all));
    };
    if args.at.json {
        out::json(state)?;
        return Ok(());
    }
    let hit = client.trace_of_rule(&args.id).await?;
    out::line(head(state));
    out::line(add::yaml(&state.rule)?.trim_end());
    out::line("");
    told(state, &all).iter().for_each(out::line);
    out::line(match hit {
        Some(trace) => format!("newest trace      glassmesh trace {}", trace.trace_id),
        None => Styled(DIM, "no trace that it hit is held by the console").to_string(),
    });
    Ok(())
}

fn unknown(id: &str, all: &ChaosState) -> Failure {
    let known: Vec<&str> = all
        .rules
        .iter()
        .map(|state| state.rule.id.as_str())
        .collect();
    let known = match known[..] {
        [] => "there are none".to_owned(),
        _ => format!("known are: {}", known.join(", ")),
    };
    Failure::Invalid(format!("there is no rule `{id}`; {known}"))
}

fn head(state: &RuleState) -> String {
    let style = if state.rule.enabled { NOTE } else { DIM };
    let status = Styled(style, words::status(state));
    let id = Styled(BOLD, &state.rule.id);
    let scenario = state.scenario.as_ref();
    let scenario = scenario.map(|scenario| format!(", of the scenario {scenario}"));
    format!("{id}: {status}{}", scenario.unwrap_or_default())
}

/// Receipt and schedule, a line each.
fn told(state: &RuleState, all: &ChaosState) -> Vec<String> {
    let met = &state.receipt;
    if !state.rule.enabled {
        let hint = format!("turn it on            glassmesh chaos on {}", state.rule.id);
        return vec![hint];
    }
    let complete = met.sidecars > 0 && all.acknowledged >= all.sidecars;
    let style = if complete { GOOD } else { BAD };
    let mut lines = vec![
        format!("held by           {} sidecars", Styled(style, met.sidecars)),
        format!("came by           {}", met.seen),
        format!("matched           {}", met.matched),
        format!(
            "hit               {}, last {}",
            met.struck,
            words::ago(met.last_ms)
        ),
    ];
    if met.spared > 0 {
        lines.push(format!(
            "spared            {}, by max_affected or first_requests",
            met.spared
        ));
    }
    if met.held > 0 {
        lines.push(format!("held now          {}", met.held));
    }
    lines.push(format!("share now         {}", words::share(state)));
    lines.extend(phase(state));
    lines.extend(
        met.nothing
            .as_ref()
            .map(|why| Styled(NOTE, why).to_string()),
    );
    if !all.halted.is_empty() {
        let text = format!("halted at         {}", all.halted.join(", "));
        lines.push(Styled(BAD, text).to_string());
    }
    lines
}

/// Where in its schedule the rule is.
fn phase(state: &RuleState) -> Option<String> {
    let schedule = &state.rule.schedule;
    if schedule.is_always() {
        return None;
    }
    let left = Duration::from_millis(state.expires_in_ms?);
    let since = state.rule.ttl.saturating_sub(left);
    Some(format!("schedule          {}", phase_at(schedule, since)))
}

fn phase_at(schedule: &Schedule, since: Duration) -> String {
    let after = schedule.after.unwrap_or_default();
    let Some(running) = since.checked_sub(after) else {
        let left = words::duration(after.saturating_sub(since));
        return format!("quiet at first, for {left} more");
    };
    let mut parts = Vec::new();
    if let (Some(on), Some(off)) = (schedule.on, schedule.off) {
        let cycle = (on + off).as_millis().max(1);
        let within = u64::try_from(running.as_millis() % cycle).unwrap_or_default();
        let within = Duration::from_millis(within);
        parts.push(match on.checked_sub(within) {
            Some(left) if !left.is_zero() => format!("hits, for {} more", words::duration(left)),
            _ => format!(
                "quiet, for {} more",
                words::duration((on + off).saturating_sub(within))
            ),
        });
    }
    match schedule.ramp {
        Some(ramp) if running < ramp => {
            let left = words::duration(ramp.saturating_sub(running));
            parts.push(format!("its share grows for {left} more"));
        }
        Some(_) => parts.push("its share has grown to the full".to_owned()),
        None => {}
    }
    if parts.is_empty() {
        parts.push("hits, until its time is over".to_owned());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_of_a_schedule_is_told_with_what_is_left_of_it() {
        let schedule: Schedule =
            serde_saphyr::from_str("{ after: 10s, on: 5s, off: 15s, ramp: 40s }").unwrap();
        for (seconds, wanted) in [
            (3, "quiet at first, for 7s more"),
            (12, "hits, for 3s more; its share grows for 38s more"),
            (16, "quiet, for 14s more; its share grows for 34s more"),
            (51, "hits, for 4s more; its share has grown to the full"),
        ] {
            assert_eq!(phase_at(&schedule, Duration::from_secs(seconds)), wanted);
        }
        let after: Schedule = serde_saphyr::from_str("{ after: 1s }").unwrap();
        assert_eq!(
            phase_at(&after, Duration::from_secs(2)),
            "hits, until its time is over"
        );
    }
}
