//! Drawing: the tree at the left, bars in time at the right, and a line of its
//! own for what happened to an attempt.

use anstyle::Style;

use super::model::{Event, Span, Trace};
use crate::out::{BAD, BOLD, DIM, GOOD, NOTE, Styled};

/// Narrower than this is drawn as if it were this wide.
const NARROWEST: usize = 80;
/// Columns of the duration, as `  123.4 ms`.
const TIME: usize = 11;

/// All lines of the picture.
pub(super) fn draw(trace: &Trace, width: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let labels: Vec<String> = trace.spans.iter().map(label).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max();
    let columns = Columns {
        label: longest.unwrap_or(0).min(width / 2),
        bar: 0,
    };
    let columns = Columns {
        bar: width - columns.label - TIME - 2,
        ..columns
    };
    let mut lines = vec![head(trace), String::new()];
    for (span, label) in trace.spans.iter().zip(labels) {
        lines.push(columns.line(trace, span, &label));
        for note in notes(span) {
            lines.push(format!("{}  {note}", Styled(DIM, stem(span))));
        }
    }
    lines
}

struct Columns {
    label: usize,
    bar: usize,
}

impl Columns {
    fn line(&self, trace: &Trace, span: &Span, label: &str) -> String {
        let style = if failed(span) { BAD } else { Style::new() };
        let label = fit(label, self.label);
        let bar = bar(trace, span, self.bar);
        let bar_style = if failed(span) { BAD } else { GOOD };
        format!(
            "{} {} {:>TIME$}",
            Styled(style, label),
            Styled(bar_style, bar),
            milliseconds(span.duration_us)
        )
    }
}

/// `POST /orders · 201 · 41.3 ms · 27 spans of 7 services · 1 retry · fault: flaky-payments`
fn head(trace: &Trace) -> String {
    let root = trace.root();
    let mut parts = vec![format!("trace {}", Styled(BOLD, &trace.id))];
    if let Some(root) = root {
        parts.push(Styled(BOLD, &root.name).to_string());
        parts.extend(status(root));
        // A trace goes on after the answer: events are handled later.
        parts.push(milliseconds(root.duration_us));
    }
    parts.push(format!(
        "{} spans of {} services",
        trace.spans.len(),
        trace.services()
    ));
    match trace
        .spans
        .iter()
        .filter(|span| retry(span).is_some())
        .count()
    {
        0 => {}
        1 => parts.push(Styled(NOTE, "1 retry").to_string()),
        several => parts.push(Styled(NOTE, format!("{several} retries")).to_string()),
    }
    let mut rules: Vec<String> = trace
        .spans
        .iter()
        .flat_map(|span| &span.events)
        .filter_map(|event| event.fields.text("rule"))
        .collect();
    rules.sort();
    rules.dedup();
    if !rules.is_empty() {
        let rules = format!("hit by {}", rules.join(", "));
        parts.push(Styled(NOTE, rules).to_string());
    }
    parts.join(" · ")
}

/// `│  └ orders  attempt payments`
fn label(span: &Span) -> String {
    format!("{}{}  {}", branch(span), span.service, span.name)
}

fn branch(span: &Span) -> String {
    // Roots stand at the left edge.
    let Some((own, above)) = span.more.get(1..).and_then(<[bool]>::split_last) else {
        return String::new();
    };
    let own = if *own { "├ " } else { "└ " };
    above.iter().map(|more| rail(*more)).chain([own]).collect()
}

/// What stands at the left of a note under a span.
fn stem(span: &Span) -> String {
    span.more.iter().skip(1).map(|more| rail(*more)).collect()
}

const fn rail(more: bool) -> &'static str {
    if more { "│ " } else { "  " }
}

fn fit(label: &str, width: usize) -> String {
    if label.chars().count() <= width {
        return format!("{label:<width$}");
    }
    let cut: String = label.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// A span's place in the time of its trace; at least one mark wide.
fn bar(trace: &Trace, span: &Span, width: usize) -> String {
    let whole = (trace.end_us - trace.start_us).max(1);
    let column = |us: u64| {
        let place = u128::from(us) * width as u128 / u128::from(whole);
        usize::try_from(place).unwrap_or(width).min(width)
    };
    let start = column(span.start_us - trace.start_us).min(width - 1);
    let end = column(span.start_us - trace.start_us + span.duration_us);
    let length = end.saturating_sub(start).max(1);
    format!(
        "{}{}{}",
        " ".repeat(start),
        "━".repeat(length),
        " ".repeat(width - start - length)
    )
}

fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1000.0)
}

fn status(span: &Span) -> Option<String> {
    let status = span.tags.text("http.response.status_code")?;
    let style = if failed(span) { BAD } else { GOOD };
    Some(Styled(style, status).to_string())
}

fn failed(span: &Span) -> bool {
    let error = span
        .tags
        .text("error")
        .is_some_and(|error| error != "false");
    error
        || span
            .tags
            .text("otel.status_code")
            .is_some_and(|code| code == "ERROR")
}

fn retry(span: &Span) -> Option<f64> {
    span.tags
        .number("http.request.resend_count")
        .filter(|count| *count > 0.0)
}

/// What is worth a line under a span.
fn notes(span: &Span) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(count) = retry(span) {
        let at = span
            .tags
            .text("mesh.endpoint")
            .map(|at| format!(" at {at}"));
        let text = format!("↻ retry {count}{}", at.unwrap_or_default());
        notes.push(Styled(NOTE, text).to_string());
    }
    notes.extend(span.events.iter().filter_map(happening));
    let reason = span
        .tags
        .text("mesh.reason")
        .map(|reason| format!("✗ {reason}"));
    notes.extend(reason.map(|reason| Styled(BAD, reason).to_string()));
    let refused = span.tags.text("mesh.retry_refused");
    notes.extend(refused.map(|why| Styled(NOTE, format!("no retry: {why}")).to_string()));
    notes
}

fn happening(event: &Event) -> Option<String> {
    let field = |key: &str| event.fields.text(key);
    let text = match event.name.as_str() {
        "mesh.fault" => {
            let mut text = format!(
                "⚡ rule {}: {}",
                field("rule").unwrap_or_default(),
                field("fault").unwrap_or_default()
            );
            if let Some(ms) = event.fields.number("actual_ms") {
                text = format!("{text} {ms:.0} ms");
            }
            if let Some(status) = field("replaced_status") {
                text = format!("{text}, answered {status}");
            }
            text
        }
        "mesh.backoff" => {
            let ms = event
                .fields
                .number("delay_ms")
                .or_else(|| event.fields.number("ms"))?;
            let why = field("condition").map(|why| format!(" after {why}"));
            format!("… backoff {ms:.1} ms{}", why.unwrap_or_default())
        }
        "mesh.ejected" => "⊘ the breaker ejected this endpoint".to_owned(),
        _ => return None,
    };
    Some(Styled(NOTE, text).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn trace() -> Trace {
        let tag = |key: &str, value: Value| json!({ "key": key, "value": value });
        let under = |id: &str| json!([{ "refType": "CHILD_OF", "traceID": "t", "spanID": id }]);
        let fault = json!({ "timestamp": 21_000, "fields": [
            tag("event", json!("mesh.fault")), tag("rule", json!("flaky-payments")),
            tag("fault", json!("abort")), tag("replaced_status", json!(503)) ] });
        let answer = json!({ "data": [{ "traceID": "t", "processes": {
                "p1": { "serviceName": "orders" } },
            "spans": [
                { "spanID": "a", "operationName": "outbound payments", "startTime": 20_000,
                  "duration": 40_000, "processID": "p1" },
                { "spanID": "b", "operationName": "attempt payments", "startTime": 21_000,
                  "duration": 1_000, "processID": "p1", "references": under("a"),
                  "tags": [tag("error", json!(true))], "logs": [fault] },
                { "spanID": "c", "operationName": "attempt payments", "startTime": 40_000,
                  "duration": 20_000, "processID": "p1", "references": under("a"),
                  "tags": [tag("http.request.resend_count", json!(1))] },
            ] }] });
        Trace::from_jaeger(&answer).unwrap()
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_fault_and_the_retry_after_it_are_named() {
        let text = plain(&draw(&trace(), 100));
        assert!(
            text.contains("rule flaky-payments: abort, answered 503"),
            "{text}"
        );
        assert!(text.contains("↻ retry 1"), "{text}");
        assert!(text.contains("1 retry · hit by flaky-payments"), "{text}");
        assert!(text.contains("├ orders  attempt payments"), "{text}");
    }

    #[test]
    fn bars_fill_the_width_and_no_more() {
        for width in [1, 80, 133] {
            let lines = draw(&trace(), width);
            let widest = plain(&lines[2..])
                .lines()
                .map(|line| line.chars().count())
                .max();
            assert_eq!(widest, Some(width.max(NARROWEST)));
        }
    }
}
