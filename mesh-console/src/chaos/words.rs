//! Rules in words, for the activity log and for answers of mysteries.

use std::time::Duration;

use mesh_proxy::config::{
    Arm, FaultKind, Guard, HeaderChanges, Place, Position, Rule, RuleMatch, Schedule, units,
};

/// What became of a rule that was made or turned.
pub(crate) fn describe(rule: &Rule) -> String {
    if !rule.enabled {
        return format!("`{}` is off", rule.id);
    }
    let on = format!("`{}` is on for {}", rule.id, time(rule.ttl));
    match &rule.guard {
        None => format!("{on}: {}", strikes(rule)),
        Some(guard) => format!("{on}: {}; its guard: {}", strikes(rule), watches(guard)),
    }
}

/// Which requests it strikes, how, and when.
pub(crate) fn strikes(rule: &Rule) -> String {
    let mut parts = vec![format!("{} of {}", faults(rule), place(rule))];
    parts.extend(conditions(&rule.matches));
    if rule.arm == Arm::Baggage {
        parts.push("if their baggage asks for it".to_owned());
    }
    if rule.position == Position::Request {
        parts.push("once a request, so that retries cannot help".to_owned());
    }
    parts.extend(bounds(rule));
    parts.extend(schedule(&rule.schedule));
    parts.join(", ")
}

fn place(rule: &Rule) -> String {
    match &rule.place {
        Place::Edge { .. } => format!("what goes over {}", rule.place),
        Place::Node(name) => format!("what arrives at {name}"),
    }
}

/// `a delay of 1s (50 %) and answer 503 (10 %)`, with the share only once when it is
/// the same for all.
fn faults(rule: &Rule) -> String {
    let kinds: Vec<FaultKind> = rule.faults().collect();
    let first = kinds.first().map(|kind| rule.percent_of(*kind));
    let same = |kind: &FaultKind| first == Some(rule.percent_of(*kind));
    if kinds.iter().all(same) {
        let words: Vec<String> = kinds.iter().map(|kind| fault(rule, *kind)).collect();
        return format!(
            "{} for {} %",
            words.join(" and "),
            first.unwrap_or_default()
        );
    }
    let each = kinds.iter().map(|kind| {
        let percent = rule.percent_of(*kind);
        format!("{} for {percent} %", fault(rule, *kind))
    });
    each.collect::<Vec<_>>().join(" and ")
}

fn fault(rule: &Rule, kind: FaultKind) -> String {
    let said = |value: Option<String>| value.unwrap_or_default();
    match kind {
        FaultKind::RequestHeaders => {
            format!(
                "changed headers of the request ({})",
                headers(&rule.request_headers)
            )
        }
        FaultKind::Delay => format!("a delay of {}", said(rule.delay.map(|it| it.to_string()))),
        FaultKind::Refuse => "a refused connection".to_owned(),
        FaultKind::Reset => "a broken connection".to_owned(),
        FaultKind::Hang => "no answer at all".to_owned(),
        FaultKind::Abort => {
            let abort = rule.abort.as_ref();
            format!("answer {}", said(abort.map(ToString::to_string)))
        }
        FaultKind::ResponseHeaders => {
            format!(
                "changed headers of the answer ({})",
                headers(&rule.response_headers)
            )
        }
        FaultKind::ChunkDelay => format!(
            "a pause of {} before each piece of the body",
            said(rule.chunk_delay.map(|it| it.to_string()))
        ),
        FaultKind::Throttle => {
            format!("a body at {}", said(rule.throttle.map(|it| it.to_string())))
        }
        FaultKind::Corrupt => format!(
            "one byte in {} of the body changed",
            said(rule.corrupt.map(|it| units::size::Shown(it).to_string()))
        ),
        FaultKind::Truncate => format!(
            "a body that breaks off after {}",
            said(
                rule.truncate
                    .map(|it| units::size::Shown(it.after).to_string())
            )
        ),
    }
}

fn headers(changes: &HeaderChanges) -> String {
    let set = changes
        .set
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let add = changes
        .add
        .iter()
        .map(|(name, value)| format!("{name}: {value} more"));
    let remove = changes.remove.iter().map(|name| format!("no {name}"));
    set.chain(add).chain(remove).collect::<Vec<_>>().join(", ")
}

fn conditions(matches: &RuleMatch) -> Vec<String> {
    let mut parts = Vec::new();
    if !matches.methods.is_empty() {
        parts.push(format!("of method {}", matches.methods.join(" or ")));
    }
    for (kind, path) in [
        ("", &matches.path),
        ("below ", &matches.path_prefix),
        ("like ", &matches.path_template),
        ("matching ", &matches.path_regex),
    ] {
        parts.extend(path.as_ref().map(|path| format!("at paths {kind}{path}")));
    }
    parts.extend(
        matches
            .route
            .as_ref()
            .map(|route| format!("on route {route}")),
    );
    if !matches.callers.is_empty() {
        parts.push(format!("from {}", matches.callers.join(" or ")));
    }
    for (what, fields) in [("header", &matches.headers), ("baggage", &matches.baggage)] {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("by their {what} {}", names.join(" and ")));
        }
    }
    parts
}

fn bounds(rule: &Rule) -> Vec<String> {
    [
        rule.first_attempts
            .map(|most| format!("up to attempt {most} of each request")),
        rule.first_requests
            .map(|most| format!("the first {most} requests at each sidecar")),
        rule.max_affected
            .map(|most| format!("at most {most} at the same time at each sidecar")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn schedule(schedule: &Schedule) -> Vec<String> {
    let cycle = schedule.on.zip(schedule.off);
    [
        schedule
            .after
            .map(|after| format!("beginning after {}", time(after))),
        cycle.map(|(on, off)| format!("{} on and {} off in turn", time(on), time(off))),
        schedule
            .ramp
            .map(|ramp| format!("rising from nothing over {}", time(ramp))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn watches(guard: &Guard) -> String {
    format!(
        "{} % success of {}, judged from {} requests on",
        guard.min_success, guard.watch, guard.min_requests
    )
}

/// `` `a`, `b` ``: ids in a sentence.
pub(super) fn ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = ids.into_iter().map(|id| format!("`{id}`")).collect();
    quoted.join(", ")
}

pub(super) fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use mesh_proxy::config::Rule;

    use super::describe;

    fn said(yaml: &str) -> String {
        describe(&serde_saphyr::from_str::<Rule>(yaml).unwrap())
    }

    #[test]
    fn a_rule_is_told_with_all_its_faults() {
        for (yaml, text) in [
            (
                "{ id: a, where: orders -> payments, abort: 503, percent: 30 }",
                "`a` is on for 10m: answer 503 for 30 % of what goes over orders -> payments",
            ),
            (
                "{ id: a, where: payments, abort: 'grpc:UNAVAILABLE', delay: 'normal:200ms:50ms', percent_of: { delay: 50 }, for: 1m }",
                "`a` is on for 1m: a delay of normal:200ms:50ms for 50 % and answer grpc:UNAVAILABLE for 100 % of what arrives at payments",
            ),
            (
                "{ id: a, where: b, throttle: 10KiB/s, corrupt: 64B, first_attempts: 1, arm: baggage, schedule: { ramp: 2m } }",
                "`a` is on for 10m: a body at 10KiB/s and one byte in 64B of the body changed for 100 % of what arrives at b, if their baggage asks for it, up to attempt 1 of each request, rising from nothing over 2m",
            ),
            (
                "{ id: a, where: b, hang: true, match: { methods: [POST], path_template: '/x/{id}' }, position: request, guard: { watch: x -> b, min_success: 95 } }",
                "`a` is on for 10m: no answer at all for 100 % of what arrives at b, of method POST, at paths like /x/{id}, once a request, so that retries cannot help; its guard: 95 % success of x -> b, judged from 20 requests on",
            ),
            (
                "{ id: a, where: b, reset: true, enabled: false }",
                "`a` is off",
            ),
        ] {
            assert_eq!(said(yaml), text);
        }
    }

    #[test]
    fn every_kind_of_fault_has_words() {
        let all = said(
            "{ id: a, where: b, request_headers: { set: { x-a: '1' }, remove: [x-c] }, delay: 1s, refuse: true, reset: true, hang: true, abort: 500, response_headers: { remove: [x-b] }, chunk_delay: 1ms, throttle: 1KiB/s, corrupt: 9B, truncate: 7B }",
        );
        for part in [
            "x-a: 1",
            "no x-c",
            "refused",
            "broken",
            "no answer",
            "answer 500",
            "no x-b",
            "each piece",
            "1KiB/s",
            "9B",
            "after 7B",
        ] {
            assert!(all.contains(part), "{part} not in {all}");
        }
    }
}
