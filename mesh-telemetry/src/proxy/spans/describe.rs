//! Spans as text, for snapshots.

use std::fmt::Write as _;

use opentelemetry::{KeyValue, trace::Status};
use opentelemetry_sdk::trace::SpanData;

/// What differs from run to run.
const VOLATILE: [&str; 1] = ["mesh.balancer.load"];

/// One line a span, its events and children indented below it.
pub(in crate::proxy) fn describe(spans: &[SpanData]) -> String {
    let mut text = String::new();
    let is_root = |span: &&SpanData| {
        !spans
            .iter()
            .any(|other| other.span_context.span_id() == span.parent_span_id)
    };
    for root in spans.iter().filter(is_root) {
        tree(&mut text, spans, root, 0);
    }
    text
}

fn tree(text: &mut String, spans: &[SpanData], span: &SpanData, depth: usize) {
    let kind = format!("{:?}", span.span_kind).to_uppercase();
    let error = if matches!(span.status, Status::Error { .. }) {
        " ERROR"
    } else {
        ""
    };
    let attributes = attributes(&span.attributes);
    let _ = writeln!(text, "{:depth$}{} {kind}{error}{attributes}", "", span.name);
    for event in &span.events.events {
        let attributes = self::attributes(&event.attributes);
        let _ = writeln!(text, "{:depth$}  * {}{attributes}", "", event.name);
    }
    let id = span.span_context.span_id();
    for child in spans.iter().filter(|child| child.parent_span_id == id) {
        tree(text, spans, child, depth + 2);
    }
}

fn attributes(attributes: &[KeyValue]) -> String {
    let stable = |pair: &&KeyValue| {
        let key = pair.key.as_str();
        !VOLATILE.contains(&key) && !key.ends_with("_ms")
    };
    let pairs = attributes.iter().filter(stable);
    pairs.fold(String::new(), |mut text, pair| {
        let _ = write!(text, " {}={}", pair.key, pair.value);
        text
    })
}
