//! Scopes as the layers of a sidecar use them, and what becomes of them.

mod counted;
mod kept;
#[cfg(target_os = "linux")]
mod logged;
mod sent;
mod tree;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, request::Parts};
use metrics_exporter_prometheus::PrometheusRecorder;
use tokio::time::advance;

use super::{
    AttemptEvent, AttemptOutcome, AttemptScope, AttemptStart, Direction, Edge, FaultInjected,
    Flags, RequestEvent, RequestOutcome, RequestScope, Secured, Sink,
};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn request(traceparent: Option<&str>) -> Parts {
    let mut request = Request::post("/payments");
    if let Some(parent) = traceparent {
        request = request.header("traceparent", parent);
    }
    request.body(()).unwrap().into_parts().0
}

fn edge() -> Arc<Edge> {
    Edge::new(Direction::Outbound, "orders", "payments", "to-payments")
}

fn attempt(scope: &RequestScope, number: u32, endpoint: &str) -> AttemptScope {
    scope.begin_attempt(AttemptStart {
        number,
        endpoint: endpoint.into(),
        load: 0.5,
    })
}

fn fault(kind: &'static str) -> FaultInjected {
    FaultInjected::new(&"flaky-payments".into(), kind, 7, 0.125, 50.0)
}

fn abort() -> FaultInjected {
    FaultInjected {
        replaced_status: Some(503),
        ..fault("abort")
    }
}

fn delay(planned: Duration) -> FaultInjected {
    FaultInjected {
        planned: Some(planned),
        ..fault("delay")
    }
}

fn status(status: u16) -> AttemptOutcome {
    AttemptOutcome {
        status: Some(status),
        ..AttemptOutcome::default()
    }
}

fn answer(status: u16) -> RequestOutcome {
    RequestOutcome {
        status: Some(status),
        ..RequestOutcome::default()
    }
}

fn injected(attempt: &AttemptScope, came: &Parts) -> HeaderMap {
    let mut headers = came.headers.clone();
    attempt.inject(&mut headers);
    headers
}

/// A first attempt that a fault aborts, a pause of 20 ms, a second that succeeds:
/// 1 ms of the sidecar's own, 5 ms and 30 ms in the attempts.
async fn retried_and_faulted(sink: &Sink) {
    let scope = RequestScope::begin(sink, Direction::Outbound, &request(Some(PARENT)));
    scope.set_edge(&edge());
    scope.emit(RequestEvent::DeadlineSet {
        left: Duration::from_secs(2),
    });
    advance(Duration::from_millis(1)).await;

    let first = attempt(&scope, 1, "127.0.0.1:14141");
    first.emit(AttemptEvent::Fault(abort()));
    advance(Duration::from_millis(5)).await;
    first.emit(AttemptEvent::Ejected {
        reason: "consecutive_failures",
        duration: Duration::from_secs(30),
    });
    first.finish(status(503));

    scope.emit(RequestEvent::RetryScheduled {
        condition: "5xx",
        delay: Duration::from_millis(20),
        budget_left: 0.75,
    });
    advance(Duration::from_millis(20)).await;

    let second = attempt(&scope, 2, "127.0.0.1:14151");
    second.emit(AttemptEvent::HalfOpenProbe);
    advance(Duration::from_millis(30)).await;
    second.finish(status(200));
    scope.finish(answer(200));
}

fn page(recorder: &PrometheusRecorder) -> String {
    recorder.handle().render()
}

/// Runs `work` under a recorder of its own, with a clock that only `work` moves.
fn recorded(work: impl Future<Output = ()>) -> String {
    let recorder = crate::register::recorder();
    metrics::with_local_recorder(&recorder, || {
        crate::register::describe();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(work);
    });
    page(&recorder)
}
