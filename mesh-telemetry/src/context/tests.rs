//! The codec against the specification's examples and the official propagator.

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use proptest::prelude::*;

use super::{SpanId, TRACEPARENT, TRACESTATE, TraceContext, TraceId};

struct Headers(HeaderMap);

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        let name = http::HeaderName::try_from(key).unwrap();
        self.0.insert(name, value.try_into().unwrap());
    }
}

fn official(headers: &HeaderMap) -> Option<SpanContext> {
    let headers = Headers(headers.clone());
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

fn headers(traceparent: &str, tracestate: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
    if !tracestate.is_empty() {
        headers.insert(TRACESTATE, HeaderValue::from_str(tracestate).unwrap());
    }
    headers
}

const FINE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn malformed_parents_are_dropped() {
    let malformed = [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    ];
    for value in malformed {
        assert_eq!(TraceContext::parse(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn later_versions_and_unknown_flags_are_understood() {
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-the-future";
    let context = TraceContext::parse(later.as_bytes()).unwrap();
    assert!(context.sampled);
    assert_eq!(context.other_flags, 2);
    let again = context.traceparent();
    assert_eq!(
        again,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
    );
}

#[test]
fn two_parents_are_none() {
    let mut headers = headers(FINE, "");
    headers.append(TRACEPARENT, HeaderValue::from_static(FINE));
    assert_eq!(TraceContext::extract(&headers), None);
}

#[test]
fn malformed_state_is_dropped_alone() {
    for state in ["no-equals", "UPPER=1", "a=1=2", "=1", "a=\u{7f}"] {
        let Ok(value) = HeaderValue::from_str(state) else {
            continue;
        };
        let mut headers = headers(FINE, "");
        headers.insert(TRACESTATE, value);
        let context = TraceContext::extract(&headers).unwrap();
        assert_eq!(context.tracestate, None, "{state}");
    }
}

#[test]
fn several_state_headers_are_one_list() {
    let mut headers = headers(FINE, "a=1");
    headers.append(TRACESTATE, HeaderValue::from_static("b=2, c=3"));
    let context = TraceContext::extract(&headers).unwrap();
    assert_eq!(context.tracestate.unwrap(), "a=1,b=2,c=3");
}

#[test]
fn no_empty_state_is_written() {
    let mut headers = headers(FINE, "");
    TraceContext::extract(&headers)
        .unwrap()
        .inject(&mut headers);
    assert!(!headers.contains_key(TRACESTATE));
}

prop_compose! {
    fn member()(key in "[a-z0-9][a-z0-9_*/-]{0,20}", value in "[!-+\\--<>-~]{1,30}") -> String {
        format!("{key}={value}")
    }
}

prop_compose! {
    fn contexts()(
        trace in 1_u128..,
        span in 1_u64..,
        sampled: bool,
        state in prop::collection::vec(member(), 0..6),
    ) -> TraceContext {
        let state = state.join(",");
        TraceContext {
            trace_id: TraceId::from(trace),
            span_id: SpanId::from(span),
            sampled,
            other_flags: 0,
            tracestate: (!state.is_empty()).then(|| HeaderValue::try_from(state).unwrap()),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_the_official_propagator_reads(context in contexts()) {
        let mut headers = HeaderMap::new();
        context.inject(&mut headers);
        let read = official(&headers).unwrap();
        prop_assert_eq!(read.trace_id(), context.trace_id);
        prop_assert_eq!(read.span_id(), context.span_id);
        prop_assert_eq!(read.is_sampled(), context.sampled);
        let state = context.tracestate.as_ref().map_or("", |state| state.to_str().unwrap());
        prop_assert_eq!(read.trace_state().header(), state);
        prop_assert_eq!(TraceContext::extract(&headers), Some(context));
    }

    #[test]
    fn what_the_official_propagator_writes_is_read(context in contexts()) {
        let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let state = context.tracestate.as_ref().map_or("", |state| state.to_str().unwrap());
        let state: TraceState = state.parse().unwrap();
        let span = SpanContext::new(context.trace_id, context.span_id, flags, true, state);
        let mut headers = Headers(HeaderMap::new());
        let sdk = Context::new().with_remote_span_context(span);
        TraceContextPropagator::new().inject_context(&sdk, &mut headers);
        prop_assert_eq!(TraceContext::extract(&headers.0), Some(context));
    }

    #[test]
    fn what_is_read_of_near_misses_the_official_propagator_reads_too(
        value in "(00|01|0|ff|cc)-[0-9a-fA-F]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}(-[a-z]{0,3})?",
    ) {
        let headers = headers(&value, "");
        if let Some(context) = TraceContext::extract(&headers) {
            let read = official(&headers).unwrap();
            prop_assert_eq!(read.trace_id(), context.trace_id);
            prop_assert_eq!(read.span_id(), context.span_id);
            prop_assert_eq!(read.is_sampled(), context.sampled);
        }
    }

    #[test]
    fn no_header_breaks_it(parent in prop::collection::vec(any::<u8>(), 0..80), state in "\\PC{0,60}") {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&parent) {
            headers.insert(TRACEPARENT, value);
        }
        if let Ok(value) = HeaderValue::try_from(state) {
            headers.insert(TRACESTATE, value);
        }
        if let Some(context) = TraceContext::extract(&headers) {
            context.inject(&mut headers);
        }
    }
}
