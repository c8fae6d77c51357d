//! What a stranger sends is cut to size before it is stored: no sender can make
//! a span that is too large to show.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;

use crate::{
    names::attribute,
    traces::{Origin, Received, span::find},
};

/// Longest text value, bytes: enough for a stack trace's top and any query.
const LONGEST_VALUE: usize = 4 * 1024;

/// Longest name of a span, an event, a scope, a service or a key, bytes.
const LONGEST_NAME: usize = 256;

/// Most attributes of a span, event, link or resource: the SDKs' own default.
const MOST_ATTRIBUTES: usize = 128;

/// Most events and most links of a span: the SDKs' own default.
const MOST_PARTS: usize = 128;

/// Deepest nesting of array and map values.
const DEEPEST: usize = 5;

/// Jaeger's name for spans whose sender gave none.
const NAMELESS: &str = "OTLPResourceNoServiceName";

/// What is left of an export.
pub(super) struct Cleaned {
    /// Spans to store.
    pub(super) spans: Vec<Received>,
    /// Spans without sound ids.
    pub(super) rejected: i64,
}

pub(super) fn clean(request: ExportTraceServiceRequest, now_ns: u64) -> Cleaned {
    let mut cleaned = Cleaned {
        spans: Vec::new(),
        rejected: 0,
    };
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let (service, resource) = clean_resource(resource);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default();
            let origin = origin(&service, &resource, scope);
            for span in of_scope.spans {
                match clean_span(span, &origin, now_ns) {
                    Some(span) => cleaned.spans.push(span),
                    None => cleaned.rejected += 1,
                }
            }
        }
    }
    cleaned
}

fn clean_resource(mut resource: Resource) -> (String, Vec<u8>) {
    clean_attributes(
        &mut resource.attributes,
        &mut resource.dropped_attributes_count,
    );
    resource.entity_refs.clear();
    let mut service = match find(&resource.attributes, attribute::SERVICE) {
        Some(Value::StringValue(name)) if !name.is_empty() => name.clone(),
        _ => NAMELESS.to_owned(),
    };
    cut(&mut service, LONGEST_NAME);
    (service, resource.encode_to_vec())
}

fn origin(service: &str, resource: &[u8], scope: InstrumentationScope) -> Arc<Origin> {
    let (mut name, mut version) = (scope.name, scope.version);
    cut(&mut name, LONGEST_NAME);
    cut(&mut version, LONGEST_NAME);
    Arc::new(Origin {
        service: service.to_owned(),
        resource: resource.to_vec(),
        scope: name,
        scope_version: version,
    })
}

fn clean_span(mut span: Span, origin: &Arc<Origin>, now_ns: u64) -> Option<Received> {
    let trace_id = sound_id(&span.trace_id)?;
    let span_id = sound_id(&span.span_id)?;
    let parent = sound_id(&span.parent_span_id);
    cut(&mut span.name, LONGEST_NAME);
    cut(&mut span.trace_state, LONGEST_VALUE);
    if span.start_time_unix_nano == 0 {
        span.start_time_unix_nano = now_ns;
    }
    span.end_time_unix_nano = span.end_time_unix_nano.max(span.start_time_unix_nano);
    clean_attributes(&mut span.attributes, &mut span.dropped_attributes_count);
    clean_parts(&mut span);
    if let Some(status) = &mut span.status {
        cut(&mut status.message, LONGEST_VALUE);
    }
    Some(Received {
        trace_id,
        span_id,
        parent,
        origin: Arc::clone(origin),
        span,
    })
}

fn clean_parts(span: &mut Span) {
    span.dropped_events_count = span
        .dropped_events_count
        .saturating_add(shorten(&mut span.events, MOST_PARTS));
    for event in &mut span.events {
        cut(&mut event.name, LONGEST_NAME);
        clean_attributes(&mut event.attributes, &mut event.dropped_attributes_count);
    }
    span.links
        .retain(|link| link.trace_id.len() == 16 && link.span_id.len() == 8);
    span.dropped_links_count = span
        .dropped_links_count
        .saturating_add(shorten(&mut span.links, MOST_PARTS));
    for link in &mut span.links {
        cut(&mut link.trace_state, LONGEST_VALUE);
        clean_attributes(&mut link.attributes, &mut link.dropped_attributes_count);
    }
}

fn sound_id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let id: [u8; N] = bytes.try_into().ok()?;
    (id != [0; N]).then_some(id)
}

fn clean_attributes(attributes: &mut Vec<KeyValue>, dropped: &mut u32) {
    *dropped = dropped.saturating_add(shorten(attributes, MOST_ATTRIBUTES));
    for one in attributes {
        cut(&mut one.key, LONGEST_NAME);
        if let Some(value) = &mut one.value {
            clean_value(value, DEEPEST);
        }
    }
}

fn clean_value(value: &mut AnyValue, depth: usize) {
    match &mut value.value {
        Some(Value::StringValue(text)) => cut(text, LONGEST_VALUE),
        Some(Value::BytesValue(bytes)) => bytes.truncate(LONGEST_VALUE),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth == 0 => {
            value.value = Some(Value::StringValue("… (nested too deep)".to_owned()));
        }
        Some(Value::ArrayValue(list)) => {
            shorten(&mut list.values, MOST_ATTRIBUTES);
            for inner in &mut list.values {
                clean_value(inner, depth - 1);
            }
        }
        Some(Value::KvlistValue(map)) => {
            shorten(&mut map.values, MOST_ATTRIBUTES);
            for inner in &mut map.values {
                cut(&mut inner.key, LONGEST_NAME);
                if let Some(value) = &mut inner.value {
                    clean_value(value, depth - 1);
                }
            }
        }
        _ => {}
    }
}

/// Cuts a list; how many went.
fn shorten<T>(list: &mut Vec<T>, most: usize) -> u32 {
    let beyond = list.len().saturating_sub(most);
    list.truncate(most);
    u32::try_from(beyond).unwrap_or(u32::MAX)
}

/// Cuts a text at a character's border, and shows that it was cut.
fn cut(text: &mut String, longest: usize) {
    if text.len() <= longest {
        return;
    }
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text.push('…');
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::ArrayValue,
        trace::v1::{ResourceSpans, ScopeSpans, span},
    };

    use super::*;

    fn export(span: Span) -> Cleaned {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        clean(request, 7)
    }

    fn sound() -> Span {
        Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Span::default()
        }
    }

    fn text(text: String) -> AnyValue {
        AnyValue {
            value: Some(Value::StringValue(text)),
        }
    }

    #[test]
    fn huge_texts_are_cut_at_a_character() {
        let mut huge = sound();
        huge.attributes = vec![KeyValue {
            key: "k".repeat(10_000),
            value: Some(text("é".repeat(100_000))),
            ..KeyValue::default()
        }];
        let kept = &export(huge).spans[0].span;
        assert!(kept.encoded_len() < LONGEST_VALUE + LONGEST_NAME + 100);
    }

    #[test]
    fn spans_of_one_sender_share_its_resource() {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![sound(), sound()],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let spans = clean(request, 7).spans;
        assert!(Arc::ptr_eq(&spans[0].origin, &spans[1].origin));
    }

    #[test]
    fn too_many_attributes_and_events_are_counted() {
        let mut many = sound();
        many.attributes = vec![KeyValue::default(); 1_000];
        many.events = vec![span::Event::default(); 1_000];
        let kept = &export(many).spans[0].span;
        assert_eq!(kept.dropped_attributes_count, 872);
        assert_eq!(kept.dropped_events_count, 872);
    }

    #[test]
    fn deep_values_end_somewhere() {
        let mut value = AnyValue::default();
        for _ in 0..50 {
            value = AnyValue {
                value: Some(Value::ArrayValue(ArrayValue {
                    values: vec![value],
                })),
            };
        }
        clean_value(&mut value, DEEPEST);
        assert!(value.encoded_len() < 100);
    }

    #[test]
    fn spans_without_sound_ids_are_rejected() {
        for (trace_id, span_id) in [
            (vec![], vec![2; 8]),
            (vec![0; 16], vec![2; 8]),
            (vec![1; 15], vec![2; 8]),
            (vec![1; 16], vec![0; 8]),
        ] {
            let bad = Span {
                trace_id,
                span_id,
                ..Span::default()
            };
            let cleaned = export(bad);
            assert_eq!((cleaned.spans.len(), cleaned.rejected), (0, 1));
        }
    }

    #[test]
    fn times_that_cannot_be_are_mended() {
        let mut odd = sound();
        odd.end_time_unix_nano = 3;
        let kept = &export(odd).spans[0].span;
        assert_eq!((kept.start_time_unix_nano, kept.end_time_unix_nano), (7, 7));
    }

    #[test]
    fn a_nameless_sender_gets_jaegers_name_for_it() {
        assert_eq!(export(sound()).spans[0].origin.service, NAMELESS);
    }
}
