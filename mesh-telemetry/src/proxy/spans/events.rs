//! Events on spans: faults, pauses before retries, hedges, ejections.

use std::time::Duration;

use crate::{
    otlp::Attributes,
    proxy::{FaultInjected, record::Note},
};

pub(super) fn name(note: &Note) -> &'static str {
    match note {
        Note::Fault(_) => "mesh.fault",
        Note::Backoff { .. } => "mesh.backoff",
        Note::Hedge { .. } => "mesh.hedge",
        Note::Ejected { .. } => "mesh.ejected",
    }
}

pub(super) fn attributes(note: &Note, to: &mut impl Attributes) {
    match note {
        Note::Fault(fault) => self::fault(fault, to),
        Note::Backoff {
            condition,
            delay,
            budget_left,
        } => {
            to.with("condition", (*condition).into());
            to.with("delay_ms", milliseconds(*delay).into());
            to.with("budget_remaining", (*budget_left).into());
        }
        Note::Hedge {
            number,
            budget_left,
        } => {
            to.with("attempt", i64::from(*number).into());
            to.with("budget_remaining", (*budget_left).into());
        }
        Note::Ejected { reason, duration } => {
            to.with("reason", (*reason).into());
            to.with("duration_ms", milliseconds(*duration).into());
        }
    }
}

fn fault(fault: &FaultInjected, to: &mut impl Attributes) {
    to.with("rule", (&fault.rule).into());
    to.with("fault", fault.fault.into());
    seed(fault.seed, to);
    to.with("draw", fault.draw.into());
    to.with("share", fault.share.into());
    to.maybe("planned_ms", fault.planned.map(milliseconds));
    to.maybe("actual_ms", fault.actual.map(milliseconds));
    to.maybe("replaced_status", fault.replaced_status.map(i64::from));
    let grpc = fault.replaced_grpc_status.map(i64::from);
    to.maybe("replaced_grpc_status", grpc);
    let bytes = fault
        .bytes
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    to.maybe("bytes", bytes);
    if let Some(fate) = fault.fate {
        let fate = format!("{:032x}", u128::from_be_bytes(fate));
        to.with("fate", fate.as_str().into());
    }
}

/// A number where it is one of OTLP, whose numbers end at half of ours; above that its
/// digits as a text: it must be exact, or the draw cannot be made again.
fn seed(seed: u64, to: &mut impl Attributes) {
    match i64::try_from(seed) {
        Ok(seed) => to.with("seed", seed.into()),
        Err(_) => to.with("seed", seed.to_string().as_str().into()),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
