//! Faults of bodies beside what else ends an answer, and in the records of all that
//! the answer passes.

use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};

use crate::support::{App, Proxy, full, get, open, policy, send, text, within};

const ROUTE: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 } }
routes:
  - name: payments
    match: { authority: payments }
    cluster: payments
    attempt_timeout: 100ms
    idle_timeout: 1m
    $times
chaos: [{ id: bad, where: $where, $rule }]
";

const WORDS: &str = "twenty bytes of text";

async fn app() -> App {
    App::answering(|_, _| text(StatusCode::OK, WORDS)).await
}

fn orders(app: &App, times: &str, rule: &str) -> Proxy {
    let yaml = ROUTE
        .replace("$times", times)
        .replace("$where", "orders -> payments")
        .replace("$rule", rule);
    Proxy::outbound(policy(&yaml, &[("app", app.address)]))
}

/// What came of an answer, and how long it took.
async fn answer(address: std::net::SocketAddr) -> (Result<usize, hyper::Error>, Duration) {
    let begin = Instant::now();
    let response = within(open(address, get("payments", "/"))).await.unwrap();
    let body = response.into_body().collect().await;
    (body.map(|body| body.to_bytes().len()), begin.elapsed())
}

fn line<'a>(record: &'a str, of: &str) -> &'a str {
    let mut lines = record.lines();
    lines
        .find(|line| line.trim_start().starts_with(of))
        .unwrap_or_else(|| panic!("no `{of}` in\n{record}"))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_rule_breaks_off_was_not_left_by_its_caller() {
    // More than is read at once: the rest is still on its way when it breaks off.
    let app = App::answering(|_, _| Response::new(full(vec![b'a'; 1 << 20]))).await;
    for position in ["attempt", "request"] {
        let rule = format!("truncate: 5B, position: {position}");
        let proxy = orders(&app, "deadline: 2s", &rule);
        assert!(answer(proxy.out()).await.0.is_err(), "{position}");
        let record = &proxy.records(1).await[0];
        for part in ["error.type=fault_truncate", "mesh.response_flags=UC,FI"] {
            let attempt = line(record, "attempt");
            assert!(
                attempt.contains(part),
                "{position}: no `{part}` in\n{record}"
            );
        }
        assert!(!record.contains("DC"), "{position}: {record}");
    }
    let rule = "chaos: [{ id: bad, where: payments, truncate: 5B }]";
    let node = Proxy::inbound(app.address, policy(rule, &[]));
    assert!(answer(node.inn()).await.0.is_err());
    let record = &node.records(1).await[0];
    assert!(record.contains("mesh.reason=fault_truncate"), "{record}");
    assert!(!record.contains("DC"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_what_a_rule_draws_out_and_the_attempts_timeout_does_not() {
    let app = app().await;
    for (fault, rule) in [
        ("throttle", "throttle: 4B/s"),
        ("chunk_delay", "chunk_delay: 5s"),
    ] {
        let proxy = orders(&app, "deadline: 2s", rule);
        let (body, time) = answer(proxy.out()).await;
        assert!(body.is_err(), "{fault}");
        let wanted = Duration::from_millis(1900)..Duration::from_millis(2100);
        assert!(wanted.contains(&time), "{fault}: {time:?}");
        let record = &proxy.records(1).await[0];
        for part in [
            "mesh.reason=deadline",
            "mesh.response_flags=UT,DI",
            &format!("fault={fault}"),
        ] {
            assert!(record.contains(part), "{fault}: no `{part}` in\n{record}");
        }
        let held = proxy.admin("/chaos").await["rules"][0]["receipt"]["held"].clone();
        assert_eq!(held, 0, "{fault}: it is let go with the answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_no_deadline_covers_takes_the_time_that_the_rule_asks_for() {
    let app = app().await;
    for rule in ["throttle: 4B/s", "chunk_delay: 5s"] {
        let proxy = orders(&app, "deadline: 2s\n    deadline_covers_body: false", rule);
        let (body, time) = answer(proxy.out()).await;
        assert_eq!(body.unwrap(), WORDS.len(), "{rule}");
        let wanted = Duration::from_millis(4900)..Duration::from_millis(5200);
        assert!(wanted.contains(&time), "{rule}: {time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_strikes_the_first_attempts_of_its_callers_and_spares_the_rest() {
    let app = app().await;
    let rule = "chaos: [{ id: bad, where: payments, first_attempts: 2, abort: 503 }]";
    let node = Proxy::inbound(app.address, policy(rule, &[]));
    let yaml = "
clusters: { payments: { endpoints: [$node], consecutive_failures: 0 } }
routes: [{ name: payments, match: {}, cluster: payments, retry: { attempts: $tries, on: [5xx] } }]
";
    for (attempts, wanted, reached) in [("2", 503, 0), ("3", 200, 1)] {
        let yaml = yaml.replace("$tries", attempts);
        let caller = Proxy::outbound(policy(&yaml, &[("node", node.inn())]));
        let answer = send(caller.out(), get("payments", "/")).await;
        assert_eq!(answer.status.as_u16(), wanted, "{attempts} attempts");
        assert_eq!(app.count(), reached, "{attempts} attempts");
    }
    let met = node.admin("/chaos").await["rules"][0]["receipt"].clone();
    assert_eq!((&met["matched"], &met["struck"]), (&5.into(), &4.into()));
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_ramp_is_that_of_the_moment() {
    let app = app().await;
    let rule = "delay: 1ms, for: 100s, schedule: { ramp: 100s }";
    let trace =
        crate::support::trace_that("bad", mesh_proxy::config::FaultKind::Delay, 40.0, &[true]);
    let proxy = orders(&app, "deadline: 2s", rule);
    sleep(Duration::from_secs(50)).await;
    let mut request = get("payments", "/");
    request
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    send(proxy.out(), request).await;
    let record = &proxy.records(1).await[0];
    let share = record.split(" share=").nth(1).unwrap();
    let share: f64 = share.split_whitespace().next().unwrap().parse().unwrap();
    assert!((50.0..52.0).contains(&share), "{record}");
}
