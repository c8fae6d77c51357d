//! What is written here, read by the protocol's generated types, is what the SDK's
//! own conversion makes of the same spans.

use std::{
    borrow::Cow,
    time::{Duration, UNIX_EPOCH},
};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use prop::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::{Attributes as _, Packet};

/// Checks spans that `write` wrote against the same ones of the SDK.
pub(crate) fn assert_sent_as(spans: Vec<SpanData>, write: impl FnOnce(&mut Packet)) {
    let resource = Resource::builder_empty()
        .with_schema_url(
            [
                KeyValue::new("service.name", "orders"),
                KeyValue::new("process.pid", 7),
            ],
            "https://schema",
        )
        .build();
    let mut packet = Packet::new(&resource);
    write(&mut packet);
    assert_eq!(packet.spans(), spans.len());
    let sent = ExportTraceServiceRequest::decode(packet.take()).unwrap();
    let resource = ResourceAttributesWithSchema::from(&resource);
    let resource_spans = group_spans_by_resource_and_scope(spans, &resource);
    assert_eq!(sent, ExportTraceServiceRequest { resource_spans });
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé.]{1,6}", "[a-z]{130,400}"]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        vec(any::<i64>(), 0..4).prop_map(|list| Value::Array(Array::I64(list))),
        vec(any::<bool>(), 0..4).prop_map(|list| Value::Array(Array::Bool(list))),
        vec(0.0..1.0, 0..4).prop_map(|list| Value::Array(Array::F64(list))),
        vec(text().prop_map(StringValue::from), 0..4)
            .prop_map(|list| Value::Array(Array::String(list))),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(
        (text(), value()).prop_map(|(key, value)| KeyValue::new(key, value)),
        0..5,
    )
}

fn context() -> impl Strategy<Value = SpanContext> {
    let state = prop_oneof![Just(""), Just("vendor=1,other=x:y")];
    (any::<(u128, u64, u8, bool)>(), state).prop_map(|((trace, span, flags, remote), state)| {
        let (trace, span) = (TraceId::from(trace), SpanId::from(span));
        let state: TraceState = state.parse().unwrap_or_default();
        SpanContext::new(trace, span, TraceFlags::new(flags), remote, state)
    })
}

fn event() -> impl Strategy<Value = Event> {
    (text(), any::<u32>(), attributes(), 0..3_u32).prop_map(|(name, at, attributes, dropped)| {
        let at = UNIX_EPOCH + Duration::from_nanos(at.into());
        Event::new(Cow::Owned(name), at, attributes, dropped)
    })
}

fn link() -> impl Strategy<Value = Link> {
    (context(), attributes(), 0..3_u32)
        .prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped))
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        text().prop_map(Status::error)
    ]
}

fn kind() -> impl Strategy<Value = SpanKind> {
    prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer)
    ]
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    prop_oneof![
        Just(InstrumentationScope::builder("plain").build()),
        Just(
            InstrumentationScope::builder("full")
                .with_version("1.2")
                .with_schema_url("https://schema")
                .with_attributes([KeyValue::new("a", 1)])
                .build()
        ),
    ]
}

fn span() -> impl Strategy<Value = SpanData> {
    let numbers = any::<(u64, bool, u64, u32)>();
    let dropped = (0..3_u32, 0..3_u32, 0..3_u32);
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let rest = (context(), text(), kind(), status(), scope());
    (numbers, dropped, lists, rest).prop_map(|(numbers, dropped, lists, rest)| {
        let (parent, parent_span_is_remote, start, length) = numbers;
        let (attributes, events, links) = lists;
        let (span_context, name, span_kind, status, instrumentation_scope) = rest;
        let start_time = UNIX_EPOCH + Duration::from_nanos(start >> 1);
        let mut all_events = SpanEvents::default();
        (all_events.events, all_events.dropped_count) = (events, dropped.1);
        let mut all_links = SpanLinks::default();
        (all_links.links, all_links.dropped_count) = (links, dropped.2);
        SpanData {
            span_context,
            // Now and then there is none.
            parent_span_id: SpanId::from(parent.saturating_sub(u64::MAX / 3)),
            parent_span_is_remote,
            span_kind,
            name: name.into(),
            start_time,
            end_time: start_time + Duration::from_nanos(length.into()),
            attributes,
            dropped_attributes_count: dropped.0,
            events: all_events,
            links: all_links,
            status,
            instrumentation_scope,
        }
    })
}

proptest! {
    #[test]
    fn spans_of_the_sdk_arrive_as_it_would_send_them(spans in vec(span(), 1..6)) {
        assert_sent_as(spans.clone(), |packet| {
            for span in &spans {
                packet.add(&span.instrumentation_scope, |mut to| to.sdk(span));
            }
        });
    }
}

#[test]
fn a_packet_is_used_again_without_what_was_in_it() {
    let mut packet = Packet::new(&Resource::builder_empty().build());
    let scope = InstrumentationScope::builder("plain").build();
    for _ in 0..2 {
        packet.add(&scope, |_| {});
        let sent = ExportTraceServiceRequest::decode(packet.take()).unwrap();
        assert_eq!(sent.resource_spans[0].scope_spans[0].spans.len(), 1);
        assert_eq!(packet.spans(), 0);
    }
    let empty = ExportTraceServiceRequest::decode(packet.take()).unwrap();
    assert!(empty.resource_spans[0].scope_spans.is_empty());
}

#[test]
fn a_packet_ends_before_collectors_would_refuse_it() {
    let mut packet = Packet::new(&Resource::builder_empty().build());
    let scope = InstrumentationScope::builder("plain").build();
    let path = "x".repeat(64 << 10);
    while !packet.is_full() {
        packet.add(&scope, |mut to| {
            to.attributes().with("url.path", path.as_str().into());
        });
    }
    assert!(packet.spans() > 20);
    assert!(packet.take().len() < 4 << 20);
}
