use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, Status, span::Event},
};

use super::*;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A span of `service`, `at` milliseconds after the epoch, a millisecond long.
fn span(trace: u8, id: u8, parent: Option<u8>, service: &str, at: u64) -> Received {
    Received {
        trace_id: [trace; 16],
        span_id: [id; 8],
        parent: parent.map(|parent| [parent; 8]),
        origin: Arc::new(Origin {
            service: service.to_owned(),
            ..Origin::default()
        }),
        span: Span {
            name: format!("op-{id}"),
            start_time_unix_nano: at * 1_000_000,
            end_time_unix_nano: (at + 1) * 1_000_000,
            ..Span::default()
        },
    }
}

fn failed(mut span: Received) -> Received {
    span.span.status = Some(Status {
        code: 2,
        ..Status::default()
    });
    span
}

fn summary(store: &TraceStore, trace: u8) -> crate::api::TraceSummary {
    let id = [trace; 16];
    let trace = store.get(&id).unwrap();
    crate::api::TraceSummary::clone(&trace.summary(&id))
}

#[test]
fn the_store_stays_within_its_bytes_and_drops_whole_traces_oldest_first() {
    let capacity = 40_000;
    let store = TraceStore::new(capacity);
    for trace in 0..200 {
        store.insert((1..=4).map(|id| span(trace, id, None, "a", u64::from(trace))));
        assert!(store.state().bytes <= capacity);
    }
    let state = store.state();
    assert!(state.traces > 5, "{state:?}");
    assert_eq!(state.spans, state.traces * 4, "only whole traces are there");
    let kept: Vec<u8> = store.all().iter().map(|(id, _)| id[0]).collect();
    let newest: Vec<u8> = (0..200).rev().take(kept.len()).collect();
    assert_eq!(kept, newest);
}

#[test]
fn traces_with_errors_outlive_calm_ones_up_to_half_of_the_room() {
    let store = TraceStore::new(40_000);
    store.insert([failed(span(255, 1, None, "a", 0))]);
    for trace in 0..200 {
        store.insert([span(trace, 1, None, "a", 1)]);
    }
    assert!(store.get(&[255; 16]).is_some());
    for trace in 0..200 {
        store.insert([failed(span(trace, 2, None, "a", 2))]);
    }
    let held = store.lock();
    assert!(held.troubled.bytes <= 40_000);
    assert!(held.bytes() <= 40_000);
}

#[test]
fn a_store_that_was_emptied_counts_nothing() {
    let store = TraceStore::new(10_000);
    for trace in 0..100 {
        let mut one = span(trace, 1, None, &format!("service-{trace}"), 1);
        one.span.name = format!("name-{trace}");
        store.insert([one]);
    }
    assert!(store.services().len() < 100, "origins go with their traces");
    store.lock().evict(0);
    let state = store.state();
    assert_eq!((state.bytes, state.traces, state.spans), (0, 0, 0));
    assert_eq!(store.services(), [] as [&str; 0]);
}

#[test]
fn names_that_a_reader_held_go_later() {
    let store = TraceStore::new(10_000);
    store.insert([span(1, 1, None, "a", 1)]);
    let reader = store.get(&[1; 16]).unwrap();
    store.lock().evict(0);
    drop(reader);
    store.insert([span(2, 2, None, "b", 1)]);
    store.lock().evict(0);
    assert_eq!(store.lock().bytes(), 0);
}

#[test]
fn one_endless_trace_does_not_push_out_the_others() {
    let store = TraceStore::new(400_000);
    store.insert([span(1, 1, None, "calm", 1)]);
    for id in 0..4_000_u64 {
        let mut one = span(2, 1, None, "endless", 1);
        one.span_id = (id + 1).to_be_bytes();
        store.insert([one]);
    }
    assert!(store.get(&[1; 16]).is_some());
    assert!(store.get(&[2; 16]).unwrap().dropped > 0);
}

#[test]
fn spans_that_are_not_kept_leave_no_names_behind() {
    let store = TraceStore::new(400_000);
    let different = |id: u64| {
        let mut one = span(1, 1, None, &format!("service-{id}"), 1);
        one.span.name = format!("name-{id}");
        one
    };
    store.insert([different(0)]);
    let before = store.state().bytes;
    store.insert((1..1_000).map(different)); // all of one id: the first is kept
    assert_eq!(store.state().bytes, before);
    assert_eq!(store.services(), ["service-0"]);
}

#[test]
fn an_export_that_is_repeated_changes_nothing_and_another_span_is_marked() {
    let store = TraceStore::new(100_000);
    store.insert([span(1, 1, None, "a", 1), span(1, 1, None, "a", 1)]);
    let trace = store.get(&[1; 16]).unwrap();
    assert_eq!((trace.spans.len(), trace.spans[0].repeated), (1, false));
    store.insert([span(1, 1, None, "a", 9)]);
    assert!(store.get(&[1; 16]).unwrap().spans[0].repeated);
}

#[test]
fn a_summary_tells_root_retries_and_faults() {
    let store = TraceStore::new(100_000);
    let mut root = span(1, 1, Some(99), "gateway", 5);
    root.span.name = "POST /orders".to_owned();
    root.span.attributes = vec![attribute("http.response.status_code", Value::IntValue(503))];
    let mut second = span(1, 3, Some(1), "orders", 8);
    second.span.attributes = vec![attribute("mesh.attempt", Value::IntValue(2))];
    let mut hit = failed(span(1, 2, Some(1), "orders", 6));
    hit.span.events = vec![Event {
        name: "mesh.fault".to_owned(),
        attributes: vec![attribute("rule", Value::StringValue("flaky".to_owned()))],
        ..Event::default()
    }];
    store.insert([hit, second, root]);
    let found = summary(&store, 1);
    assert_eq!(
        (found.service.as_str(), found.name.as_str()),
        ("gateway", "POST /orders")
    );
    assert_eq!((found.status_code, found.failed), (Some(503), true));
    assert_eq!((found.retries, found.faults), (1, vec!["flaky".to_owned()]));
    assert_eq!((found.start_us, found.duration_us), (5_000, 4_000));
    assert_eq!(found.services, ["gateway", "orders"]);
}

#[test]
fn a_summary_follows_spans_that_come_late() {
    let store = TraceStore::new(100_000);
    store.insert([span(1, 2, Some(1), "b", 6)]);
    assert_eq!(summary(&store, 1).service, "b");
    store.insert([span(1, 1, None, "a", 5)]);
    assert_eq!(summary(&store, 1).service, "a");
}

#[test]
fn parents_in_a_circle_end_and_are_cut_once() {
    let store = TraceStore::new(100_000);
    store.insert([
        span(1, 1, Some(2), "a", 3),
        span(1, 2, Some(3), "a", 2),
        span(1, 3, Some(1), "a", 4),
        span(1, 4, Some(4), "a", 9),
        span(1, 5, Some(1), "a", 5),
    ]);
    assert_eq!(summary(&store, 1).spans, 5);
    let trace = store.get(&[1; 16]).unwrap();
    let mut cut: Vec<u8> = tree::loops(&trace.spans).iter().map(|id| id[0]).collect();
    cut.sort_unstable();
    assert_eq!(cut, [2, 4]);
}

#[test]
fn filters_keep_what_they_say() {
    let store = TraceStore::new(1_000_000);
    for trace in 0..100 {
        let mut one = span(trace, 1, None, "a", u64::from(trace));
        one.span.name = "GET /".to_owned();
        one.span.end_time_unix_nano += u64::from(trace) * 1_000_000;
        store.insert([if trace == 7 { failed(one) } else { one }]);
    }
    let ids = |filter, limit| -> Vec<u64> {
        let found = store.summaries(Some("a"), None, filter, limit);
        found.iter().map(|one| one.start_us / 1_000).collect()
    };
    assert_eq!(ids(Filter::All, 2), [99, 98]);
    assert_eq!(ids(Filter::Failed, 10), [7]);
    assert_eq!(ids(Filter::Slow, 10), [99, 98, 97, 96, 95]);
    assert_eq!(ids(Filter::Faulted, 10), [] as [u64; 0]);
    assert_eq!(store.summaries(Some("b"), None, Filter::All, 10).len(), 0);
    assert_eq!(
        store.summaries(None, Some("slow"), Filter::All, 10).len(),
        0
    );
}
