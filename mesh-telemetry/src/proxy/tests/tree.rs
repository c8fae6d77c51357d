//! The spans of a record.

use std::time::Duration;

use opentelemetry::trace::{SpanId, Status};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_retried_and_faulted_request_tells_its_story() {
    let sink = Sink::disconnected();
    retried_and_faulted(&sink).await;
    let finished = sink.take();
    assert_eq!(finished.len(), 1);
    let expected = "\
outbound payments INTERNAL mesh.source=orders mesh.destination=payments mesh.route=to-payments \
http.request.method=POST url.path=/payments network.protocol.version=1.1 \
http.response.status_code=200 \
mesh.attempts=2 mesh.budget_remaining=0.75
  * mesh.backoff condition=5xx budget_remaining=0.75
  attempt payments CLIENT ERROR http.request.method=POST url.full=http://127.0.0.1:14141/payments \
server.address=127.0.0.1 server.port=14141 http.response.status_code=503 error.type=503 \
service.peer.name=payments mesh.endpoint=127.0.0.1:14141 mesh.attempt=1 \
mesh.breaker.state=closed mesh.response_flags=FI
    * mesh.fault rule=flaky-payments fault=abort seed=7 draw=0.125 share=50 replaced_status=503
    * mesh.ejected reason=consecutive_failures
  attempt payments CLIENT http.request.method=POST url.full=http://127.0.0.1:14151/payments \
server.address=127.0.0.1 server.port=14151 http.request.resend_count=1 \
http.response.status_code=200 service.peer.name=payments mesh.endpoint=127.0.0.1:14151 \
mesh.attempt=2 mesh.breaker.state=half_open
";
    assert_eq!(finished[0].describe(), expected);
}

#[tokio::test(start_paused = true)]
async fn spans_hang_together_and_last_as_long_as_they_did() {
    let sink = Sink::disconnected();
    retried_and_faulted(&sink).await;
    let spans = sink.take().remove(0).spans();
    let [request, first, second] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(
        request.parent_span_id,
        SpanId::from_hex("00f067aa0ba902b7").unwrap()
    );
    assert!(request.parent_span_is_remote);
    for attempt in [first, second] {
        assert_eq!(attempt.parent_span_id, request.span_context.span_id());
        assert_eq!(
            attempt.span_context.trace_id(),
            request.span_context.trace_id()
        );
        assert!(attempt.span_context.is_sampled());
    }
    let lasted = |span: &opentelemetry_sdk::trace::SpanData| {
        span.end_time
            .duration_since(span.start_time)
            .unwrap()
            .as_millis()
    };
    assert_eq!(
        [lasted(request), lasted(first), lasted(second)],
        [56, 5, 30]
    );
    let deadline = request
        .attributes
        .iter()
        .find(|it| it.key.as_str() == "mesh.deadline_ms");
    assert_eq!(deadline.unwrap().value.to_string(), "2000");
}

#[tokio::test(start_paused = true)]
async fn an_inbound_request_is_one_span_that_tells_its_hop() {
    let sink = Sink::disconnected();
    let mut came = request(Some(PARENT));
    came.headers.insert("host", "payments".parse().unwrap());
    let scope = RequestScope::begin(&sink, Direction::Inbound, &came);
    scope.set_edge(&Edge::new(
        Direction::Inbound,
        "orders",
        "payments",
        "inbound",
    ));
    scope.emit(RequestEvent::Fault(abort()));
    let hop = attempt(&scope, 1, "127.0.0.1:14150");
    let sent = injected(&hop, &came);
    hop.finish(status(500));
    scope.finish(answer(500));
    let finished = sink.take().remove(0);
    let expected = "\
inbound POST /payments SERVER ERROR mesh.source=orders mesh.destination=payments \
mesh.route=inbound http.request.method=POST url.path=/payments network.protocol.version=1.1 \
http.response.status_code=500 error.type=500 mesh.response_flags=FI url.scheme=http server.address=payments \
mesh.endpoint=127.0.0.1:14150
  * mesh.fault rule=flaky-payments fault=abort seed=7 draw=0.125 share=50 replaced_status=503
";
    assert_eq!(finished.describe(), expected);
    let own = finished.spans()[0].span_context.span_id().to_string();
    assert!(
        sent["traceparent"].to_str().unwrap().contains(&own),
        "the service hangs below it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_delay_tells_its_true_length() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
    let first = attempt(&scope, 1, "127.0.0.1:1");
    let held = first.hold_fault(delay(Duration::from_secs(10)));
    advance(Duration::from_millis(200)).await;
    drop(held); // the attempt timeout came first
    let error = Some("timeout");
    first.finish(AttemptOutcome {
        flags: Flags::UPSTREAM_TIMEOUT,
        error,
        ..Default::default()
    });
    scope.finish(RequestOutcome {
        reason: Some("attempt_timeout"),
        ..answer(504)
    });
    let spans = sink.take().remove(0).spans();
    let fault = &spans[1].events.events[0];
    let value = |key: &str| {
        let pair = fault
            .attributes
            .iter()
            .find(|pair| pair.key.as_str() == key);
        pair.unwrap().value.to_string()
    };
    assert_eq!(
        (value("planned_ms"), value("actual_ms")),
        ("10000".into(), "200".into())
    );
    let text = sink_text(&spans);
    assert!(text.contains("mesh.response_flags=UT,DI"), "{text}");
    assert!(text.contains("error.type=attempt_timeout"), "{text}");
}

fn sink_text(spans: &[opentelemetry_sdk::trace::SpanData]) -> String {
    crate::proxy::spans::describe(spans)
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_is_no_error() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(Some(PARENT)));
    let open = attempt(&scope, 1, "127.0.0.1:1");
    drop(scope);
    assert!(sink.take().is_empty(), "the attempt still runs");
    drop(open);
    let spans = sink.take().remove(0).spans();
    assert!(
        spans.iter().all(|span| span.status == Status::Unset),
        "{spans:?}"
    );
    let text = sink_text(&spans);
    assert!(
        text.contains("mesh.reason=cancelled mesh.response_flags=DC"),
        "{text}"
    );
    assert!(!text.contains("error.type"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_error_is_the_callers_fault() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(Some(PARENT)));
    attempt(&scope, 1, "127.0.0.1:1").finish(status(404));
    scope.finish(answer(404));
    let spans = sink.take().remove(0).spans();
    assert_eq!(spans[0].status, Status::Unset);
    assert_eq!(spans[1].status, Status::error(""));
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_body_tells_what_it_became() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
    let first = attempt(&scope, 1, "127.0.0.1:1");
    let mut slow = first.work_fault(fault("throttle"));
    slow.waited(Duration::from_millis(150));
    slow.waited(Duration::from_millis(100));
    let mut wrong = first.work_fault(FaultInjected {
        fate: Some([0xab; 16]),
        ..fault("corrupt")
    });
    wrong.changed(2);
    wrong.changed(1);
    first.emit(AttemptEvent::Fault(FaultInjected {
        bytes: Some(100),
        ..fault("truncate")
    }));
    drop((slow, wrong));
    first.finish(status(200));
    scope.finish(answer(200));
    let spans = sink.take().remove(0).spans();
    let throttled = &spans[1].events.events[0];
    let mut attributes = throttled.attributes.iter();
    let actual = attributes.find(|pair| pair.key.as_str() == "actual_ms");
    assert_eq!(actual.unwrap().value.to_string(), "250");
    let text = sink_text(&spans);
    let fate = "ab".repeat(16);
    for event in [
        format!("fault=corrupt seed=7 draw=0.125 share=50 bytes=3 fate={fate}\n"),
        "fault=truncate seed=7 draw=0.125 share=50 bytes=100\n".to_owned(),
        "mesh.response_flags=FI,DI".to_owned(),
    ] {
        assert!(text.contains(&event), "no `{event}` in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_is_told_exactly_also_where_it_is_no_number_of_otlp() {
    let sink = Sink::disconnected();
    for (seed, text) in [
        (7, "seed=7 "),
        (i64::MAX as u64, "seed=9223372036854775807 "),
        (u64::MAX, "seed=18446744073709551615 "),
    ] {
        let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
        let struck = FaultInjected {
            seed,
            ..fault("abort")
        };
        scope.emit(RequestEvent::Fault(struck));
        scope.finish(answer(200));
        let told = sink.take().remove(0).describe();
        assert!(told.contains(text), "no `{text}` in\n{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_fault_has_its_letters() {
    for (kind, letters) in [
        ("request_headers", None),
        ("response_headers", None),
        ("delay", Some("DI")),
        ("hang", Some("DI")),
        ("chunk_delay", Some("DI")),
        ("throttle", Some("DI")),
        ("abort", Some("FI")),
        ("refuse", Some("FI")),
        ("reset", Some("FI")),
        ("corrupt", Some("FI")),
        ("truncate", Some("FI")),
    ] {
        let sink = Sink::disconnected();
        let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
        scope.emit(RequestEvent::Fault(fault(kind)));
        scope.finish(answer(200));
        let finished = sink.take();
        assert_eq!(finished.len(), 1, "{kind}: always kept");
        let text = finished[0].describe();
        let wanted = letters.map(|letters| format!("mesh.response_flags={letters}"));
        let found = wanted.as_ref().is_some_and(|wanted| text.contains(wanted));
        assert_eq!(found, wanted.is_some(), "{kind}: {text}");
        assert_eq!(
            text.contains("mesh.response_flags"),
            wanted.is_some(),
            "{text}"
        );
    }
}
