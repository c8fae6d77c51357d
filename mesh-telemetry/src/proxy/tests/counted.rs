//! The metrics of a record.

use super::*;

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|it| it == line), "no `{line}` in\n{page}");
}

#[test]
fn a_retried_and_faulted_request_is_counted() {
    let page = recorded(async { retried_and_faulted(&Sink::disconnected()).await });
    for line in [
        "mesh_requests_total{direction=\"outbound\",source=\"orders\",destination=\"payments\",\
         route=\"to-payments\",method=\"POST\",response_code=\"200\",grpc_status=\"-\",\
         response_flags=\"-\",tls=\"none\"} 1",
        "mesh_attempts_total{source=\"orders\",destination=\"payments\",response_code=\"503\",\
         grpc_status=\"-\",response_flags=\"FI\"} 1",
        "mesh_attempts_total{source=\"orders\",destination=\"payments\",response_code=\"200\",\
         grpc_status=\"-\",response_flags=\"-\"} 1",
        "mesh_retries_total{source=\"orders\",destination=\"payments\",condition=\"5xx\"} 1",
        "mesh_retry_success_total{source=\"orders\",destination=\"payments\",condition=\"5xx\"} 1",
        "mesh_retries_total{source=\"orders\",destination=\"payments\",condition=\"reset\"} 0",
        "mesh_retry_budget_remaining_ratio{source=\"orders\",destination=\"payments\"} 0.75",
        "mesh_requests_in_flight{direction=\"outbound\",destination=\"payments\"} 0",
        "mesh_faults_injected_total{rule=\"flaky-payments\",fault=\"abort\",source=\"orders\",\
         destination=\"payments\"} 1",
        "mesh_proxy_overhead_seconds_count{direction=\"outbound\"} 1",
        "mesh_proxy_overhead_seconds_sum{direction=\"outbound\"} 0.001",
        "mesh_request_duration_seconds_bucket{direction=\"outbound\",source=\"orders\",\
         destination=\"payments\",route=\"to-payments\",response_class=\"2xx\",le=\"0.1\"} 1",
        "mesh_attempt_duration_seconds_count{source=\"orders\",destination=\"payments\",\
         response_class=\"5xx\"} 1",
    ] {
        has(&page, line);
    }
}

#[test]
fn what_a_fault_keeps_back_of_a_body_is_taken_off_the_sidecars_cost_once() {
    let page = recorded(async {
        let scope = RequestScope::begin(&Sink::disconnected(), Direction::Outbound, &request(None));
        scope.set_edge(&edge());
        let only = attempt(&scope, 1, "127.0.0.1:1");
        let mut slow = scope.work_fault(fault("throttle"));
        advance(Duration::from_millis(400)).await;
        slow.waited(Duration::from_millis(400)); // while the attempt runs
        only.finish(status(200));
        advance(Duration::from_millis(600)).await;
        slow.waited(Duration::from_millis(600)); // of what was read before
        drop(slow);
        advance(Duration::from_millis(3)).await;
        scope.finish(answer(200));
    });
    for line in [
        "mesh_proxy_overhead_seconds_sum{direction=\"outbound\"} 0.003",
        "mesh_fault_delay_seconds_sum{rule=\"flaky-payments\"} 1",
    ] {
        has(&page, line);
    }
}

#[test]
fn delays_and_the_hop_are_not_the_sidecars_cost() {
    let page = recorded(async {
        let scope = RequestScope::begin(&Sink::disconnected(), Direction::Inbound, &request(None));
        scope.set_edge(&Edge::new(
            Direction::Inbound,
            "orders",
            "payments",
            "inbound",
        ));
        let held = scope.hold_fault(delay(Duration::from_millis(400)));
        advance(Duration::from_millis(400)).await;
        drop(held);
        advance(Duration::from_millis(2)).await;
        let hop = attempt(&scope, 1, "127.0.0.1:1");
        advance(Duration::from_millis(50)).await;
        hop.finish(status(200));
        scope.finish(answer(200));
    });
    has(
        &page,
        "mesh_proxy_overhead_seconds_sum{direction=\"inbound\"} 0.002",
    );
    has(
        &page,
        "mesh_fault_delay_seconds_sum{rule=\"flaky-payments\"} 0.4",
    );
    has(&page, "mesh_fault_active{rule=\"flaky-payments\"} 0");
    assert!(
        !page.contains("\nmesh_attempts_total"),
        "the hop is no attempt of the mesh"
    );
    assert!(page.contains("response_flags=\"DI\""), "{page}");
}

#[test]
fn refusals_are_counted_under_their_reason() {
    let page = recorded(async {
        let scope = RequestScope::begin(&Sink::disconnected(), Direction::Outbound, &request(None));
        scope.set_edge(&edge());
        scope.emit(RequestEvent::Shed { reason: "overload" });
        scope.emit(RequestEvent::RetryRefused {
            reason: "budget_exhausted",
            budget_left: 0.0,
        });
        let flags = Flags::OVERFLOW;
        scope.finish(RequestOutcome {
            flags,
            reason: Some("overload"),
            ..answer(503)
        });
    });
    has(
        &page,
        "mesh_requests_shed_total{direction=\"outbound\",destination=\"payments\",\
         reason=\"overload\"} 1",
    );
    has(
        &page,
        "mesh_retry_refused_total{source=\"orders\",destination=\"payments\",\
         reason=\"budget_exhausted\"} 1",
    );
    has(
        &page,
        "mesh_retry_budget_remaining_ratio{source=\"orders\",destination=\"payments\"} 0",
    );
}

#[test]
fn the_connection_that_counts_is_the_callers_inbound_and_the_last_attempts_outbound() {
    let secured = |mutual| {
        Arc::new(Secured {
            mutual,
            version: "1.3",
            peer: None,
        })
    };
    let page = recorded(async {
        let sink = Sink::disconnected();
        let scope = RequestScope::begin(&sink, Direction::Inbound, &request(None));
        scope.emit(RequestEvent::Secured(secured(false)));
        scope.finish(answer(200));
        let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
        drop(attempt(&scope, 1, "127.0.0.1:1"));
        let last = attempt(&scope, 2, "127.0.0.1:2");
        last.emit(AttemptEvent::Secured(secured(true)));
        scope.finish(answer(200));
    });
    for (direction, tls) in [("inbound", "server"), ("outbound", "mutual")] {
        let is_it = |line: &&str| {
            let start = format!("mesh_requests_total{{direction=\"{direction}\"");
            line.starts_with(&start) && line.contains(&format!("tls=\"{tls}\""))
        };
        assert!(page.lines().any(|line| is_it(&line)), "{page}");
    }
}

#[test]
fn a_request_without_a_route_is_counted_as_unknown() {
    let page = recorded(async {
        let sink = Sink::disconnected();
        let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
        let flags = Flags::NO_ROUTE;
        scope.finish(RequestOutcome {
            flags,
            reason: Some("no_route"),
            ..answer(404)
        });
    });
    has(
        &page,
        "mesh_requests_total{direction=\"outbound\",source=\"unknown\",destination=\"unknown\",\
         route=\"none\",method=\"POST\",response_code=\"404\",grpc_status=\"-\",\
         response_flags=\"NR\",tls=\"none\"} 1",
    );
}

#[test]
fn of_two_attempts_at_once_one_wins_and_the_other_ends_with_it() {
    let sink = Sink::disconnected();
    let page = recorded(async {
        let scope = RequestScope::begin(&sink, Direction::Outbound, &request(None));
        scope.set_edge(&edge());
        let slow = attempt(&scope, 1, "127.0.0.1:1");
        advance(Duration::from_millis(50)).await;
        scope.emit(RequestEvent::HedgeStarted {
            number: 2,
            budget_left: 0.5,
        });
        let hedge = attempt(&scope, 2, "127.0.0.1:2");
        advance(Duration::from_millis(10)).await;
        scope.emit(RequestEvent::RaceWon { number: 2 });
        drop(slow);
        advance(Duration::from_millis(5)).await;
        hedge.finish(status(200));
        scope.finish(answer(200));
    });
    let told = sink.take().remove(0).describe();
    assert!(
        told.contains("mesh.attempt=1 mesh.cancelled=hedge"),
        "{told}"
    );
    assert!(told.contains("mesh.attempt=2 mesh.hedge=true"), "{told}");
    for line in [
        "mesh_hedges_total{source=\"orders\",destination=\"payments\",result=\"won\"} 1",
        "mesh_attempts_total{source=\"orders\",destination=\"payments\",response_code=\"0\",\
         grpc_status=\"-\",response_flags=\"-\"} 1",
        // Attempts beside one another take their time once.
        "mesh_proxy_overhead_seconds_sum{direction=\"outbound\"} 0",
    ] {
        has(&page, line);
    }
}

#[test]
fn a_failed_grpc_call_is_an_error_although_it_was_answered_with_200() {
    let sink = Sink::disconnected();
    let page = recorded(async {
        let mut call = request(None);
        let grpc = "application/grpc".parse().unwrap();
        call.headers.insert("content-type", grpc);
        let scope = RequestScope::begin(&sink, Direction::Outbound, &call);
        scope.set_edge(&edge());
        let only = attempt(&scope, 1, "127.0.0.1:1");
        only.finish(AttemptOutcome {
            grpc_status: Some(14),
            ..status(200)
        });
        scope.finish(RequestOutcome {
            grpc_status: Some(14),
            ..answer(200)
        });
    });
    has(
        &page,
        "mesh_request_duration_seconds_count{direction=\"outbound\",source=\"orders\",\
         destination=\"payments\",route=\"to-payments\",response_class=\"5xx\"} 1",
    );
    let told = sink.take().remove(0).describe();
    for part in [
        "outbound payments INTERNAL ERROR",
        "attempt payments CLIENT ERROR",
        "rpc.system.name=grpc rpc.method=payments rpc.response.status_code=UNAVAILABLE",
        "error.type=UNAVAILABLE",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}
