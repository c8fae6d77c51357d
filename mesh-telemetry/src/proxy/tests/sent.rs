//! The bytes of a record's spans say what its spans in the SDK's form say.

use crate::otlp::tests::assert_sent_as;

use super::*;

fn check(sink: &Sink, spans: usize) {
    let finished = sink.take().remove(0);
    assert_eq!(finished.span_count(), spans);
    assert_sent_as(finished.spans(), |packet| finished.write(packet));
}

#[tokio::test(start_paused = true)]
async fn a_retried_and_faulted_request_is_sent_whole() {
    let sink = Sink::disconnected();
    retried_and_faulted(&sink).await;
    check(&sink, 3);
}

#[tokio::test(start_paused = true)]
async fn a_root_is_sent_as_one() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
    attempt(&scope, 1, "[::1]:80").finish(status(404));
    scope.emit(RequestEvent::RetryRefused {
        reason: "budget",
        budget_left: 0.0,
    });
    scope.finish(answer(404));
    check(&sink, 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_says_of_the_trace_is_sent() {
    let sink = Sink::disconnected();
    let mut came = request(Some(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
    ));
    let state = "vendor=1,other=2".parse().unwrap();
    came.headers.insert("tracestate", state);
    let scope = RequestScope::begin(&sink, Direction::Outbound, &came);
    drop(attempt(&scope, 1, "127.0.0.1:1"));
    drop(scope); // and goes away
    check(&sink, 2);
}

#[tokio::test(start_paused = true)]
async fn an_inbound_grpc_call_over_tls_is_sent_with_what_happened_on_its_hop() {
    let sink = Sink::disconnected();
    let mut came = request(Some(PARENT));
    for (name, value) in [
        ("host", "payments"),
        ("user-agent", "shop/1"),
        ("content-type", "application/grpc"),
    ] {
        came.headers.insert(name, value.parse().unwrap());
    }
    let scope = RequestScope::begin(&sink, Direction::Inbound, &came);
    scope.emit(RequestEvent::Secured(Arc::new(Secured {
        version: "1.3",
        mutual: true,
        peer: Some("spiffe://mesh/orders".into()),
    })));
    scope.emit(RequestEvent::Fault(delay(Duration::from_millis(5))));
    let hop = attempt(&scope, 1, "127.0.0.1:14150");
    hop.emit(AttemptEvent::Fault(abort()));
    advance(Duration::from_millis(3)).await;
    hop.finish(status(200));
    scope.finish(RequestOutcome {
        grpc_status: Some(14),
        ..answer(200)
    });
    check(&sink, 1);
}

#[tokio::test(start_paused = true)]
async fn a_race_of_attempts_is_sent() {
    let sink = Sink::disconnected();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request(Some(PARENT)));
    scope.emit(RequestEvent::Rewritten {
        to: "/v2/payments".parse().unwrap(),
    });
    let slow = attempt(&scope, 1, "127.0.0.1:1");
    scope.emit(RequestEvent::HedgeStarted {
        number: 2,
        budget_left: 0.5,
    });
    let quick = attempt(&scope, 2, "127.0.0.1:2");
    quick.finish(status(200));
    scope.emit(RequestEvent::RaceWon { number: 2 });
    drop(slow);
    scope.emit(RequestEvent::HedgeRefused { reason: "budget" });
    scope.finish(answer(200));
    check(&sink, 3);
}
