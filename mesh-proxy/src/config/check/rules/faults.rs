//! What a rule does.

use std::time::Duration;

use http::HeaderValue;

use super::{super::Findings, LAST_WORDS};
use crate::{
    config::{Abort, Delay, FaultKind, Rule},
    routing::{Flaw, changes::Edits},
};

/// Longest pause: what is drawn beyond it is cut there.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

pub(super) fn check(rule: &Rule, found: &mut Findings) {
    found.expect(rule.faults().next().is_some(), "", || {
        let kinds = FaultKind::ALL.map(FaultKind::as_str).join("`, `");
        format!("the rule has no fault: give it a `delay`, as `200ms`, an `abort`, as `503`, or another of `{kinds}`")
    });
    for (key, delay) in [("delay", rule.delay), ("chunk_delay", rule.chunk_delay)] {
        if let Some(delay) = delay {
            check_delay(key, delay, found);
        }
    }
    if let Some(abort) = &rule.abort {
        check_abort(abort, found);
    }
    check_sizes(rule, found);
    check_headers(rule, found);
    check_order(rule, found);
}

fn check_delay(key: &str, delay: Delay, found: &mut Findings) {
    let mut expect = |holds: bool, message: &str| {
        found.expect(holds, key, || format!("`{delay}`: {message}"));
    };
    let lengths: &[Duration] = match delay {
        Delay::Fixed(length) => &[length],
        Delay::Uniform { from, to } => {
            expect(
                from <= to,
                "the shortest time is longer than the longest: exchange the two",
            );
            &[from, to]
        }
        Delay::Normal { mean, deviation } => &[mean, deviation],
        Delay::Exponential { mean } => &[mean],
        Delay::Pareto { scale, shape } => {
            expect(
                shape.is_finite() && shape > 0.0,
                "the shape must be a number above 0, as 1.5",
            );
            expect(
                !scale.is_zero(),
                "the shortest time must be more than 0, or all are 0",
            );
            &[scale]
        }
    };
    let does_nothing =
        lengths.iter().all(Duration::is_zero) && !matches!(delay, Delay::Pareto { .. });
    expect(
        !does_nothing,
        "a delay of 0 does nothing: expected more, as `200ms`",
    );
    expect(
        lengths.iter().all(|length| *length <= LONGEST_PAUSE),
        "too long: expected at most `1h`; `hang` waits until somebody gives up",
    );
}

fn check_abort(abort: &Abort, found: &mut Findings) {
    match abort {
        Abort::Http {
            status,
            body,
            content_type,
        } => {
            found.expect((400..=599).contains(status), "abort", || {
                format!("{status} is no error status: expected 400 to 599")
            });
            let Some(kind) = content_type else { return };
            found.expect(HeaderValue::from_str(kind).is_ok(), "abort", || {
                format!(
                    "`{}` cannot be a `content_type`: expected one as `text/plain`",
                    kind.escape_default()
                )
            });
            found.expect(body.is_some(), "abort", || {
                "a `content_type` without a `body`: give both, or neither for the sidecar's own words"
                    .to_owned()
            });
        }
        Abort::Grpc { code, .. } => found.expect((1..=16).contains(code), "abort", || {
            format!("{code} is no failure of gRPC: expected 1 to 16")
        }),
    }
}

fn check_sizes(rule: &Rule, found: &mut Findings) {
    found.expect(rule.corrupt != Some(0), "corrupt", || {
        "expected on average one byte in so many, as `64B`; `1B` changes every one".to_owned()
    });
    let stands = rule.throttle.is_some_and(|throttle| throttle.rate == 0);
    found.expect(!stands, "throttle", || {
        "nothing would ever come: expected a rate, as `10KiB/s`; `hang` gives no answer at all"
            .to_owned()
    });
}

fn check_headers(rule: &Rule, found: &mut Findings) {
    let mut flaws = Vec::new();
    Edits::compile("request_headers", &rule.request_headers, &mut flaws);
    Edits::compile("response_headers", &rule.response_headers, &mut flaws);
    for Flaw { key, message } in flaws {
        found.report(&key, message);
    }
}

/// What strikes every request leaves nothing for the faults behind it.
fn check_order(rule: &Rule, found: &mut Findings) {
    let strikes_all = |kind: &FaultKind| {
        LAST_WORDS.contains(kind)
            && rule.percent_of(*kind) >= 100.0
            && rule.schedule.ramp.is_none_or(|ramp| ramp.is_zero())
    };
    let Some(last) = rule.faults().find(strikes_all) else {
        return;
    };
    for kind in rule.faults().filter(|kind| *kind > last) {
        found.report(kind.as_str(), format!(
            "it could never strike: `{last}` comes first, strikes all that match, and leaves nothing behind; \
             give `{last}` a smaller share, as `percent_of: {{ {last}: 50 }}`, or make two rules"
        ));
    }
}
