//! Which rules hit which attempts of a trace.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::trace::{Event, Span, Trace};

/// One fault at one place of a trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Spot {
    pub(super) rule: String,
    pub(super) fault: String,
    /// `orders -> payments`, or `payments` for a node.
    pub(super) at: String,
    /// Number of the attempt, where the fault hit one.
    pub(super) attempt: Option<u32>,
}

/// A fault as its event tells it.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub(super) spot: Spot,
    pub(super) seed: Option<u64>,
    pub(super) draw: Option<f64>,
    /// The trace whose fate it is, where that is another.
    pub(super) fate: Option<String>,
}

/// All hits of a trace.
pub(super) fn hits(trace: &Trace) -> Vec<Hit> {
    let of = |span| hits_of(span);
    trace.spans.iter().flat_map(of).collect()
}

fn hits_of(span: &Span) -> impl Iterator<Item = Hit> {
    let faults = span
        .events
        .iter()
        .filter(|event| event.name == "mesh.fault");
    faults.map(|event| hit(span, event))
}

fn hit(span: &Span, event: &Event) -> Hit {
    let (tag, field) = (|key| span.tags.text(key), |key| event.fields.text(key));
    let attempt = tag("mesh.attempt").and_then(|number| number.parse().ok());
    let place = match tag("mesh.destination") {
        Some(node) if span.name.starts_with("inbound ") => node,
        Some(callee) => format!("{} -> {callee}", tag("mesh.source").unwrap_or_default()),
        None => {
            let callee = tag("service.peer.name").unwrap_or_default();
            format!("{} -> {callee}", span.service)
        }
    };
    Hit {
        spot: Spot {
            rule: field("rule").unwrap_or_default(),
            fault: field("fault").unwrap_or_default(),
            at: place,
            attempt,
        },
        seed: field("seed").and_then(|seed| seed.parse().ok()),
        draw: event.fields.number("draw"),
        fate: field("fate"),
    }
}

/// The trace whose draws are to fall again, and which rules must be asked for.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) of: String,
    rules: Vec<String>,
}

impl Fate {
    /// That of a replay is the one of the trace that it repeated.
    pub(super) fn of(trace: &Trace) -> Self {
        let hits = hits(trace);
        let of = hits.iter().find_map(|hit| hit.fate.clone());
        let mut rules: Vec<String> = hits.into_iter().map(|hit| hit.spot.rule).collect();
        rules.sort();
        rules.dedup();
        Self {
            of: of.unwrap_or_else(|| trace.id.clone()),
            rules,
        }
    }

    /// What carries it. Rules that only hit requests which ask for them are asked for:
    /// those that hit the old trace were. For all others it means nothing.
    pub(super) fn baggage(&self) -> String {
        let mut baggage = format!("mesh.fate={}", self.of);
        if !self.rules.is_empty() {
            baggage.push_str(",mesh.chaos=");
            baggage.push_str(&self.rules.join(":"));
        }
        baggage
    }
}

/// A spot, and how often it was hit in either trace.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compared {
    #[serde(flatten)]
    pub(super) spot: Spot,
    pub(super) before: usize,
    pub(super) now: usize,
}

/// Every spot that was hit in one of two traces.
pub(super) fn compare(before: &[Hit], now: &[Hit]) -> Vec<Compared> {
    let mut spots: BTreeMap<&Spot, (usize, usize)> = BTreeMap::new();
    for hit in before {
        spots.entry(&hit.spot).or_default().0 += 1;
    }
    for hit in now {
        spots.entry(&hit.spot).or_default().1 += 1;
    }
    let compared = |(spot, (before, now)): (&Spot, (usize, usize))| Compared {
        spot: spot.clone(),
        before,
        now,
    };
    spots.into_iter().map(compared).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A trace of one attempt of orders at payments, with these faults in it.
    pub(in crate::chaos::replay) fn trace(id: &str, faults: &[Value]) -> Trace {
        let fields = |fault: &Value| {
            let fields = fault.as_object().unwrap().iter();
            let fields = fields.map(|(key, value)| json!({ "key": key, "value": value }));
            let name = json!({ "key": "event", "value": "mesh.fault" });
            let fields: Vec<Value> = fields.chain([name]).collect();
            json!({ "timestamp": 1, "fields": fields })
        };
        let logs: Vec<Value> = faults.iter().map(fields).collect();
        let answer = json!({ "data": [{ "traceID": id, "processes": { "p": { "serviceName": "orders" } },
            "spans": [{ "spanID": "a", "operationName": "attempt payments", "startTime": 1, "duration": 1,
                "processID": "p", "logs": logs, "tags": [
                    { "key": "service.peer.name", "value": "payments" },
                    { "key": "mesh.attempt", "value": 2 } ] }] }] });
        Trace::from_jaeger(&answer).unwrap()
    }

    #[test]
    fn a_hit_is_told_with_its_place_and_attempt() {
        let fault = json!({ "rule": "flaky", "fault": "abort", "seed": 7, "draw": 0.125 });
        let hits = hits(&trace("t", &[fault]));
        assert_eq!(hits.len(), 1);
        let wanted = Spot {
            rule: "flaky".to_owned(),
            fault: "abort".to_owned(),
            at: "orders -> payments".to_owned(),
            attempt: Some(2),
        };
        assert_eq!(
            (&hits[0].spot, hits[0].seed, hits[0].draw),
            (&wanted, Some(7), Some(0.125))
        );
    }

    #[test]
    fn the_fate_of_a_replay_is_that_of_the_first_trace() {
        let own = trace(
            "aa",
            &[
                json!({ "rule": "b", "fault": "abort" }),
                json!({ "rule": "a", "fault": "hang" }),
            ],
        );
        assert_eq!(Fate::of(&own).baggage(), "mesh.fate=aa,mesh.chaos=a:b");
        let replayed = trace(
            "bb",
            &[json!({ "rule": "a", "fault": "abort", "fate": "aa" })],
        );
        assert_eq!(Fate::of(&replayed).of, "aa");
        assert_eq!(Fate::of(&trace("cc", &[])).baggage(), "mesh.fate=cc");
    }

    #[test]
    fn hits_are_compared_by_spot_and_count() {
        let abort = json!({ "rule": "a", "fault": "abort" });
        let hang = json!({ "rule": "a", "fault": "hang" });
        let before = hits(&trace("t", &[abort.clone(), abort.clone(), hang]));
        let now = hits(&trace("u", &[abort]));
        let counts: Vec<(usize, usize)> = compare(&before, &now)
            .iter()
            .map(|one| (one.before, one.now))
            .collect();
        assert_eq!(counts, [(2, 1), (1, 0)]);
    }
}
