//! A sidecar's telemetry as the outside sees it: OTLP at a real receiver, and the
//! page that Prometheus reads.

#[path = "support/openmetrics.rs"]
mod openmetrics;
#[path = "support/promtool.rs"]
mod promtool;
#[path = "support/receiver.rs"]
mod receiver;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Request, request::Parts};
use mesh_telemetry::{
    Component, Identity, Options, Telemetry, catalog,
    console::{ActiveRule, show_rules},
    install_proxy,
    proxy::{
        self, AccessLog, AccessLogOptions, AttemptEvent, AttemptOutcome, AttemptStart,
        BreakerGauge, BreakerState, Direction, Edge, FaultInjected, ProcessEvent, RequestEvent,
        RequestOutcome, RequestScope, Sink, Tunnel,
    },
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// Series and their exemplars belong to the process: the last one to observe something
/// is the one a dot leads to, and must not be another test.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn options(otlp: &str) -> Options {
    Options {
        identity: Identity {
            service: "orders".to_owned(),
            instance: "orders-1".to_owned(),
            component: Component::Sidecar,
        },
        otlp: Some(otlp.to_owned()),
        sample_ratio: 1.0,
    }
}

fn request() -> Parts {
    let request = Request::post("/payments")
        .header("traceparent", PARENT)
        .body(());
    request.expect("it is well-formed").into_parts().0
}

fn fault(fault: &'static str) -> FaultInjected {
    FaultInjected {
        replaced_status: (fault == "abort").then_some(503),
        ..FaultInjected::new(&"flaky-payments".into(), fault, 7, 0.1, 50.0)
    }
}

/// One request in one direction, retried once, with everything that can happen.
fn everything(sink: &Sink, direction: Direction) {
    let scope = RequestScope::begin(sink, direction, &request());
    let edge = Edge::new(direction, "orders", "payments", "to-payments");
    edge.register_rule("flaky-payments", "abort");
    edge.register_hedges();
    scope.set_edge(&edge);
    scope.emit(RequestEvent::DeadlineSet {
        left: Duration::from_secs(2),
    });
    drop(scope.hold_fault(fault("delay")));
    for number in 1..=2 {
        let endpoint: Arc<str> = format!("127.0.0.1:1414{number}").into();
        let attempt = scope.begin_attempt(AttemptStart {
            number,
            endpoint,
            load: 0.1,
        });
        if number == 1 {
            attempt.emit(AttemptEvent::Fault(fault("abort")));
        }
        let status = Some(if number == 1 { 503 } else { 200 });
        attempt.finish(AttemptOutcome {
            status,
            ..AttemptOutcome::default()
        });
        if number == 1 {
            scope.emit(RequestEvent::RetryScheduled {
                condition: "5xx",
                delay: Duration::ZERO,
                budget_left: 0.9,
            });
        }
    }
    scope.emit(RequestEvent::Shed { reason: "overload" });
    scope.finish(RequestOutcome {
        status: Some(200),
        ..RequestOutcome::default()
    });
}

fn log_to_nowhere(sink: &Sink) {
    let log = AccessLog::open(AccessLogOptions {
        to: "/dev/null".into(),
        json: true,
        sample: 1.0,
    });
    sink.set_access_log(log.expect("it can be opened"));
}

fn sidecar_events() {
    let (cluster, endpoint) = ("payments", "127.0.0.1:14141");
    let reason = "consecutive_failures";
    for event in [
        ProcessEvent::EndpointEjected {
            cluster,
            endpoint,
            reason,
        },
        ProcessEvent::EndpointReadmitted { cluster, endpoint },
        ProcessEvent::Endpoints {
            cluster,
            ready: 2,
            ejected: 0,
            draining: 0,
            unhealthy: 0,
        },
        ProcessEvent::HealthChecked {
            cluster,
            result: "ok",
        },
        ProcessEvent::Discovered {
            cluster,
            result: "ok",
        },
        ProcessEvent::DownstreamOpened {
            listener: "inbound",
        },
        ProcessEvent::DownstreamClosed {
            listener: "inbound",
            reason: "idle",
        },
        ProcessEvent::Malformed {
            listener: "inbound",
            reason: "content_length",
        },
        ProcessEvent::ConfigApplied { revision: 3 },
        ProcessEvent::ConfigRejected {
            revision: 4,
            problems: 1,
        },
        ProcessEvent::ControlConnected(true),
        ProcessEvent::UpstreamConnect {
            cluster,
            result: "ok",
        },
        ProcessEvent::UpstreamOpened { cluster },
        ProcessEvent::UpstreamClosed { cluster },
        ProcessEvent::TlsHandshake {
            direction: Direction::Inbound,
            result: "ok",
        },
        ProcessEvent::CertificateExpiry {
            direction: Direction::Inbound,
            ends: Some(SystemTime::now()),
        },
        ProcessEvent::ConcurrencyLimit {
            direction: Direction::Inbound,
            destination: "payments",
            route: "inbound",
            limit: Some(20),
        },
    ] {
        proxy::emit(&event);
    }
}

#[tokio::test]
async fn a_retried_request_arrives_as_one_tree_under_the_applications_name() {
    let _alone = alone().await;
    let (otlp, mut arrived) = receiver::start().await;
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    everything(&sink, Direction::Outbound);
    let spans = receiver::take(&mut arrived, 3).await;
    let request = receiver::named(&spans, "outbound payments");
    assert_eq!(request.parent(), "00f067aa0ba902b7");
    assert_eq!(request.scope, "mesh-proxy");
    assert_eq!(
        request.of_resource("service.name").as_deref(),
        Some("orders")
    );
    assert_eq!(
        request.of_resource("mesh.component").as_deref(),
        Some("sidecar")
    );
    let attempts: Vec<_> = spans
        .iter()
        .filter(|it| it.span.name == "attempt payments")
        .collect();
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        assert_eq!(attempt.parent(), request.id());
        assert_eq!(attempt.trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
    let again = attempts
        .iter()
        .find(|it| it.attribute("http.request.resend_count").is_some());
    assert_eq!(
        again.unwrap().attribute("mesh.attempt").as_deref(),
        Some("2")
    );
    let first = attempts.iter().find(|it| it.status() == 2).unwrap();
    assert_eq!(first.span.events[0].name, "mesh.fault");
    telemetry.shutdown().await;
}

/// As a console shows it.
fn rule_in_force() -> ActiveRule {
    ActiveRule {
        id: "flaky".to_owned(),
        place: "orders -> payments".to_owned(),
        scenario: String::new(),
        share: Some(0.5),
        delay: Some(0.4),
    }
}

#[tokio::test]
async fn every_metric_of_the_mesh_is_on_a_clean_page() {
    let _alone = alone().await;
    let (otlp, _arrived) = receiver::start().await;
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    log_to_nowhere(&sink);
    for direction in [Direction::Outbound, Direction::Inbound] {
        everything(&sink, direction);
    }
    sidecar_events();
    let _tunnel = Tunnel::open("payments");
    let breaker = BreakerGauge::new(&"payments".into(), &"127.0.0.1:14141".into());
    breaker.set(BreakerState::HalfOpen);
    show_rules(vec![rule_in_force()]);
    let page = telemetry.render();
    for line in [
        "mesh_breaker_state{destination=\"payments\",endpoint=\"127.0.0.1:14141\"} 1\n",
        "mesh_chaos_rule_active{rule=\"flaky\",place=\"orders -> payments\",scenario=\"\"} 1\n",
        "mesh_chaos_rule_share_ratio{rule=\"flaky\"} 0.5\n",
        "mesh_chaos_rule_delay_seconds{rule=\"flaky\"} 0.4\n",
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    promtool::lint(&page);
    let there = promtool::hold_against_catalog(&page);
    let of_a_sidecar = |name: &str| name.starts_with("mesh_") || name.starts_with("process_");
    for metric in catalog::METRICS
        .iter()
        .filter(|metric| of_a_sidecar(metric.name))
    {
        assert!(there.contains(metric.name), "no {} in\n{page}", metric.name);
        assert!(page.contains(&format!("# HELP {} {}\n", metric.name, metric.help)));
        let kind = metric.kind.as_str();
        assert!(
            page.contains(&format!("# TYPE {} {kind}\n", metric.name)),
            "{}",
            metric.name
        );
    }
    telemetry.shutdown().await;
}

/// Exemplars of a sample, once one of them is wanted: they follow the spans, and those of
/// other tests may be there before.
async fn led_to(
    telemetry: &Telemetry,
    sample: &str,
    is_wanted: impl Fn(&openmetrics::Exemplar) -> bool,
) -> Vec<openmetrics::Exemplar> {
    let mut found = Vec::new();
    for _ in 0..200 {
        found = openmetrics::read(&telemetry.render_openmetrics());
        found.retain(|exemplar| exemplar.sample == sample);
        if found.iter().any(&is_wanted) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no such exemplar of {sample} among {found:?}");
}

#[tokio::test]
async fn whoever_asks_for_openmetrics_is_led_to_spans_that_arrived() {
    let _alone = alone().await;
    let (otlp, mut arrived) = receiver::start().await;
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    everything(&sink, Direction::Outbound);
    let spans = receiver::take(&mut arrived, 3).await;
    let of_edge = |exemplar: &openmetrics::Exemplar| {
        exemplar
            .labels
            .get("destination")
            .is_none_or(|name| name == "payments")
    };
    for (sample, span) in [
        ("mesh_request_duration_seconds_bucket", "outbound payments"),
        ("mesh_proxy_overhead_seconds_bucket", "outbound payments"),
        ("mesh_fault_delay_seconds_bucket", "outbound payments"),
        ("mesh_attempt_duration_seconds_bucket", "attempt payments"),
        ("mesh_attempts_total", "attempt payments"),
        ("mesh_retries_total", "outbound payments"),
        ("mesh_retry_success_total", "outbound payments"),
        ("mesh_faults_injected_total", "attempt payments"),
    ] {
        let leads = |exemplar: &openmetrics::Exemplar| {
            let is_it = |it: &&receiver::Arrived| {
                it.span.name == span
                    && it.id() == exemplar.span_id
                    && it.trace() == exemplar.trace_id
            };
            of_edge(exemplar) && spans.iter().any(|it| is_it(&it))
        };
        led_to(&telemetry, sample, leads).await;
    }
    let faults = led_to(&telemetry, "mesh_faults_injected_total", |_| true).await;
    assert!(
        faults.iter().all(|one| (one.value - 1.0).abs() < 1e-9),
        "{faults:?}"
    );
    // On the plain page there is nothing of the sort.
    let plain = telemetry.render();
    assert!(
        !plain.contains("trace_id") && !plain.contains("# EOF"),
        "{plain}"
    );
    promtool::lint(&plain);
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_trace_that_nobody_got_is_no_exemplar() {
    let _alone = alone().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = format!("http://{}", listener.local_addr().unwrap());
    drop(listener); // refuses from now on
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    let scope = RequestScope::begin(&sink, Direction::Outbound, &request());
    scope.set_edge(&Edge::new(Direction::Outbound, "orders", "nobody", "lost"));
    scope.finish(RequestOutcome {
        status: Some(503),
        ..RequestOutcome::default()
    });
    telemetry.shutdown().await; // tries to send it
    let (telemetry, _sink) = install_proxy(options(&otlp)).unwrap();
    let page = telemetry.render_openmetrics();
    let lost = openmetrics::read(&page).into_iter().filter(|exemplar| {
        exemplar
            .labels
            .get("destination")
            .is_some_and(|to| to == "nobody")
    });
    assert_eq!(lost.count(), 0, "{page}");
    assert!(
        page.contains("route=\"lost\""),
        "it was counted all the same: {page}"
    );
    telemetry.shutdown().await;
}

#[tokio::test]
async fn the_last_spans_leave_before_the_process_ends() {
    let _alone = alone().await;
    let (otlp, mut arrived) = receiver::start().await;
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    for _ in 0..1000 {
        everything(&sink, Direction::Outbound);
    }
    telemetry.shutdown().await;
    let mut spans = 0;
    while arrived.try_recv().is_ok() {
        spans += 1;
    }
    assert_eq!(spans, 3000);
}

#[tokio::test]
async fn a_hanging_collector_costs_requests_nothing_and_the_end_two_seconds() {
    let _alone = alone().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = format!("http://{}", listener.local_addr().unwrap()); // accepts, never answers
    let (telemetry, sink) = install_proxy(options(&otlp)).unwrap();
    let started = Instant::now();
    for _ in 0..3000 {
        everything(&sink, Direction::Outbound); // far more than the queue holds
    }
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    let page = telemetry.render();
    let dropped = "mesh_telemetry_spans_total{result=\"dropped\"} ";
    let dropped = page
        .lines()
        .find_map(|line| line.strip_prefix(dropped))
        .unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0, "{page}");
    let ending = Instant::now();
    telemetry.shutdown().await;
    assert!(
        ending.elapsed() < Duration::from_secs(3),
        "{:?}",
        ending.elapsed()
    );
}
