//! What is kept of requests that nobody sampled, and what they send on.

use super::*;

fn plain(sink: &Sink, came: &Parts, answer_status: u16) -> HeaderMap {
    let scope = RequestScope::begin(sink, Direction::Outbound, came);
    let only = attempt(&scope, 1, "127.0.0.1:1");
    let sent = injected(&only, came);
    only.finish(status(answer_status));
    scope.finish(answer(answer_status));
    sent
}

#[tokio::test]
async fn an_uneventful_unsampled_request_passes_through_unchanged() {
    let sink = Sink::disconnected();
    let mut came = request(Some(UNSAMPLED));
    came.headers
        .insert("tracestate", "vendor=1".parse().unwrap());
    came.headers.insert("baggage", "user=1".parse().unwrap());
    assert_eq!(plain(&sink, &came, 200), came.headers);
    assert!(sink.take().is_empty());
}

#[tokio::test]
async fn a_new_unsampled_trace_is_told_to_the_callee() {
    let sink = Sink::disconnected_sampling(0.0);
    let sent = plain(&sink, &request(None), 200);
    assert!(sent["traceparent"].to_str().unwrap().ends_with("-00"));
    assert!(sink.take().is_empty());
}

#[tokio::test]
async fn a_failed_request_is_kept_unsampled() {
    let sink = Sink::disconnected_sampling(0.0);
    let _sent = plain(&sink, &request(None), 503);
    assert_eq!(sink.take().len(), 1);
}

#[tokio::test]
async fn refusals_are_kept_unsampled() {
    let sink = Sink::disconnected();
    let events = [
        RequestEvent::Shed { reason: "overload" },
        RequestEvent::Denied,
    ];
    for event in events {
        let scope = RequestScope::begin(&sink, Direction::Inbound, &request(Some(UNSAMPLED)));
        scope.emit(event);
        scope.finish(answer(429));
    }
    assert_eq!(sink.take().len(), 2);
}

#[tokio::test]
async fn the_retry_of_an_unsampled_request_is_sampled_from_here_on() {
    let sink = Sink::disconnected();
    let came = request(Some(UNSAMPLED));
    let scope = RequestScope::begin(&sink, Direction::Outbound, &came);
    let first = attempt(&scope, 1, "127.0.0.1:1");
    assert_eq!(injected(&first, &came), came.headers);
    first.finish(status(503));
    let second = attempt(&scope, 2, "127.0.0.1:2");
    let sent = injected(&second, &came);
    second.finish(status(200));
    scope.finish(answer(200));
    let spans = sink.take().remove(0).spans();
    let id = spans[2].span_context.span_id();
    let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{id}-01");
    assert_eq!(sent["traceparent"], expected.as_str());
}

#[tokio::test]
async fn a_malformed_parent_begins_a_new_trace() {
    let sink = Sink::disconnected();
    let mut came = request(Some("00-zz-yy-01"));
    came.headers
        .insert("tracestate", "vendor=1".parse().unwrap());
    let sent = plain(&sink, &came, 200);
    assert_ne!(sent["traceparent"], came.headers["traceparent"]);
    assert!(
        !sent.contains_key("tracestate"),
        "state of a parent that is none"
    );
    let spans = sink.take().remove(0).spans();
    assert_eq!(
        spans[0].parent_span_id,
        opentelemetry::trace::SpanId::INVALID
    );
}

#[tokio::test]
async fn only_the_first_end_counts() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
    scope.finish(answer(200));
    scope.finish(answer(500));
    let late = attempt(&scope, 1, "127.0.0.1:1");
    late.finish(status(200));
    drop((late, scope));
    let finished = sink.take();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].span_count(), 1);
}

#[tokio::test]
async fn without_a_collector_contexts_pass_through() {
    let sampling = crate::sampling::Sampling::parent_based(1.0);
    let sink = Sink::connected(None, sampling, false, "orders");
    for came in [request(Some(PARENT)), request(None)] {
        assert_eq!(plain(&sink, &came, 503), came.headers);
    }
}
