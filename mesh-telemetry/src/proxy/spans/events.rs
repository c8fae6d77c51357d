//! Events on spans: faults, pauses before retries, hedges, ejections.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{KeyValue, trace::Event};

use crate::proxy::{FaultInjected, record::Note};

pub(super) fn of(when: SystemTime, note: &Note) -> Event {
    let (name, attributes) = match note {
        Note::Fault(fault) => ("mesh.fault", self::fault(fault)),
        Note::Backoff {
            condition,
            delay,
            budget_left,
        } => (
            "mesh.backoff",
            vec![
                KeyValue::new("condition", *condition),
                KeyValue::new("delay_ms", milliseconds(*delay)),
                KeyValue::new("budget_remaining", *budget_left),
            ],
        ),
        Note::Hedge {
            number,
            budget_left,
        } => (
            "mesh.hedge",
            vec![
                KeyValue::new("attempt", i64::from(*number)),
                KeyValue::new("budget_remaining", *budget_left),
            ],
        ),
        Note::Ejected { reason, duration } => (
            "mesh.ejected",
            vec![
                KeyValue::new("reason", *reason),
                KeyValue::new("duration_ms", milliseconds(*duration)),
            ],
        ),
    };
    Event::new(name, when, attributes, 0)
}

fn fault(fault: &FaultInjected) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("rule", Arc::clone(&fault.rule)),
        KeyValue::new("fault", fault.fault),
        KeyValue::new("seed", i64::try_from(fault.seed).unwrap_or(i64::MAX)),
        KeyValue::new("draw", fault.draw),
    ];
    let planned = fault
        .planned
        .map(|it| KeyValue::new("planned_ms", milliseconds(it)));
    let actual = fault
        .actual
        .map(|it| KeyValue::new("actual_ms", milliseconds(it)));
    let status = fault.replaced_status.map(i64::from);
    let status = status.map(|it| KeyValue::new("replaced_status", it));
    attributes.extend(planned.into_iter().chain(actual).chain(status));
    attributes
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
