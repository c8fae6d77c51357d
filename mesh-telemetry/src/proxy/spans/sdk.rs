//! The same spans in the SDK's form, for those who look at them here.

use opentelemetry::{
    KeyValue,
    trace::{Event, SpanContext, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{SCOPE, Span, events};
use crate::{
    otlp::{Attributes, Value},
    proxy::record::Record,
};

/// The spans of a request: itself, then its attempts.
pub(in crate::proxy) fn of(record: &Record) -> Vec<SpanData> {
    Span::of(record).map(span).collect()
}

fn span(span: Span<'_>) -> SpanData {
    let mut name = String::new();
    span.name(&mut name);
    let mut attributes = Vec::new();
    span.attributes(&mut attributes);
    let mut events = SpanEvents::default();
    events.events = span
        .notes()
        .map(|(when, note)| {
            let mut attributes = Vec::new();
            events::attributes(note, &mut attributes);
            Event::new(events::name(note), span.time(*when), attributes, 0)
        })
        .collect();
    let (start_time, end_time) = span.times();
    SpanData {
        span_context: context(span),
        parent_span_id: span.parent(),
        parent_span_is_remote: span.parent_is_remote(),
        span_kind: span.kind(),
        name: name.into(),
        start_time,
        end_time,
        attributes,
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: span.status(),
        instrumentation_scope: SCOPE.clone(),
    }
}

fn context(span: Span<'_>) -> SpanContext {
    let incoming = span.record.incoming.as_ref();
    let state = incoming.map_or_else(TraceState::default, |incoming| {
        incoming.to_remote().trace_state().clone()
    });
    SpanContext::new(span.record.trace_id, span.id(), span.flags(), false, state)
}

impl Attributes for Vec<KeyValue> {
    fn with(&mut self, key: &str, value: Value<'_>) {
        let value: opentelemetry::Value = match value {
            Value::Text(text) => text.to_owned().into(),
            Value::Joined(parts) => parts.concat().into(),
            Value::Int(number) => number.into(),
            Value::Double(number) => number.into(),
            Value::Bool(truth) => truth.into(),
            Value::List(list) => opentelemetry::Value::Array(list.clone()),
        };
        self.push(KeyValue::new(key.to_owned(), value));
    }
}
