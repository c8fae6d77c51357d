//! Faults that nobody can forget: they end with their time, with a halt and with a
//! signal, whether there is a console or not, and what is reported is what is in force.

use std::time::Duration;

use http::StatusCode;
use mesh_proxy::config::{Policy, Report};
use mesh_telemetry::task;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    control::{Console, beat},
    process::{Folder, Ports, Running},
    support::{App, Proxy, get, policy, post, send, text, within},
};

const EDGE: &str = "
clusters: { payments: { endpoints: [$app], consecutive_failures: 0 } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 3h }]
chaos: [$rules]
";

fn with_rules(app: &App, rules: &str) -> Policy {
    policy(&EDGE.replace("$rules", rules), &[("app", app.address)])
}

async fn halt(proxy: &Proxy) -> String {
    let mut halt = post("localhost", "/chaos/halt", "");
    let headers = halt.headers_mut();
    headers.insert("x-glassmesh", "1".parse().unwrap());
    let answer = send(proxy.sidecar.admin_address(), halt).await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

async fn status(proxy: &Proxy) -> u16 {
    let answer = within(send(proxy.out(), get("payments", "/"))).await;
    answer.status.as_u16()
}

fn ids(report: &Report) -> Vec<&str> {
    report.rules.iter().map(|rule| rule.id.as_str()).collect()
}

/// Rules in force by the admin API.
async fn in_force(proxy: &Proxy) -> Vec<String> {
    let rules = proxy.admin("/chaos").await["rules"].take();
    let rules = rules.as_array().unwrap().iter();
    rules
        .map(|rule| rule["id"].as_str().unwrap().to_owned())
        .collect()
}

const SHORT: &str = "{ id: short, where: orders -> payments, abort: 503, for: 10s }";
const LONG: &str = "{ id: long, where: orders -> payments, delay: 1s, for: 1m }";

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_lost_its_console_drops_each_rule_when_its_time_is_over() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = console.subscriber();
    let stream = console.stream().await;
    let both = format!("{SHORT}, {LONG}");
    console.put(&stream, 1, with_rules(&app, &both)).await;
    drop((stream, console));
    assert_eq!(status(&proxy).await, 503);
    assert_eq!(in_force(&proxy).await, ["short", "long"]);
    sleep(Duration::from_secs(10)).await;
    let begin = Instant::now();
    assert_eq!(status(&proxy).await, 200);
    assert!(begin.elapsed() >= Duration::from_secs(1), "long goes on");
    assert_eq!(in_force(&proxy).await, ["long"]);
    sleep(Duration::from_mins(1)).await;
    let begin = Instant::now();
    assert_eq!(status(&proxy).await, 200);
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(in_force(&proxy).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_time_is_over_lets_go_of_what_it_holds() {
    let app = App::fine().await;
    let rule = "{ id: slow, where: orders -> payments, delay: 1h, for: 10s }";
    let proxy = Proxy::outbound(with_rules(&app, rule));
    let begin = Instant::now();
    assert_eq!(status(&proxy).await, 200);
    let held = begin.elapsed();
    assert!((10..12).contains(&held.as_secs()), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_force_is_reported_at_once_and_again_to_a_console_that_is_back() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = console.subscriber();
    let stream = console.stream().await;
    let elsewhere = "{ id: elsewhere, where: users, abort: 503 }";
    let both = format!("{SHORT}, {elsewhere}");
    console.put(&stream, 1, with_rules(&app, &both)).await;
    let begin = Instant::now();
    let report = console.report(|report| report.revision == 1).await;
    assert!(begin.elapsed() < Duration::from_millis(900));
    assert_eq!(
        (report.service.as_str(), report.instance.as_str()),
        ("orders", "orders-1")
    );
    assert_eq!(ids(&report), ["short"], "the other is for others");
    drop(stream);
    let again = console.stream().await;
    let report = console.report(|_| true).await;
    assert_eq!(ids(&report), ["short"]);
    for _ in 0..5 {
        sleep(Duration::from_secs(4)).await;
        beat(&again).await;
    }
    let [last] = &console.reports_left()[..] else {
        panic!("one end is one report");
    };
    assert_eq!(ids(last), [""; 0], "its time is over");
    drop(proxy);
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_reported_and_lasts_until_something_is_turned_on_or_all_is_off() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = console.subscriber();
    let stream = console.stream().await;
    let both = format!("{SHORT}, {LONG}");
    console.put(&stream, 1, with_rules(&app, &both)).await;
    assert_eq!(halt(&proxy).await, r#"{"halted":2}"#);
    let report = console.report(|report| report.halted).await;
    assert_eq!(ids(&report), [""; 0]);
    assert_eq!(status(&proxy).await, 200);
    console.put(&stream, 2, with_rules(&app, LONG)).await;
    assert_eq!(in_force(&proxy).await, [""; 0], "one ended, nobody began");
    let off = LONG.replace("for:", "enabled: false, for:");
    console.put(&stream, 3, with_rules(&app, &off)).await;
    let report = console.report(|report| report.revision == 3).await;
    assert!(!report.halted, "there is nothing left to halt");
    console.put(&stream, 4, with_rules(&app, LONG)).await;
    assert_eq!(halt(&proxy).await, r#"{"halted":1}"#);
    assert_eq!(halt(&proxy).await, r#"{"halted":0}"#);
    console.put(&stream, 5, with_rules(&app, &both)).await;
    let report = console.report(|report| report.revision == 5).await;
    assert_eq!(
        (report.halted, ids(&report)),
        (false, vec!["short", "long"])
    );
    assert_eq!(status(&proxy).await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_halt_of_nothing_is_none() {
    let app = App::fine().await;
    let proxy = Proxy::outbound(with_rules(&app, ""));
    assert_eq!(halt(&proxy).await, r#"{"halted":0}"#);
    assert_eq!(proxy.admin("/chaos").await["halted"], false);
}

#[tokio::test]
async fn a_halt_lets_go_of_requests_and_bodies_that_are_held() {
    for fault in [
        "delay: 1h",
        "hang: true",
        "chunk_delay: 1h",
        "throttle: 1B/s",
    ] {
        let app = App::answering(|_, _| text(StatusCode::OK, "a body of some length")).await;
        let rule = format!("{{ id: held, where: orders -> payments, {fault}, for: 2h }}");
        let proxy = Proxy::outbound(with_rules(&app, &rule));
        let held = task::spawn("held", send(proxy.out(), get("payments", "/")));
        loop {
            let rules = proxy.admin("/chaos").await["rules"].take();
            if rules[0]["receipt"]["held"] == 1 {
                break;
            }
        }
        assert_eq!(halt(&proxy).await, r#"{"halted":1}"#);
        let begin = Instant::now();
        let answer = within(held).await.unwrap();
        assert_eq!(answer.body, "a body of some length", "{fault}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{fault}");
    }
}

/// Requests that are held when the signal comes.
const HELD: usize = 64;

#[tokio::test]
async fn a_signal_halts_a_sidecar_that_holds_many_requests() {
    let (app, folder, ports) = (App::fine().await, Folder::new("halt"), Ports::free());
    let [outbound, admin, metrics] = ports.0;
    let rule = "{ id: dead, where: orders -> payments, delay: 1h, for: 2h }";
    let policy = serde_saphyr::to_string(&with_rules(&app, rule)).unwrap();
    let policy = policy.replace('\n', "\n  ");
    let config = format!(
        "service: orders\ninstance: orders-1\noutbound: {{ listen: '{outbound}' }}\nadmin: {admin}\nmetrics: {metrics}\npolicy:\n  {policy}"
    );
    std::fs::write(folder.file(), config).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let held: Vec<_> = (0..HELD)
        .map(|_| task::spawn("held", send(outbound, get("payments", "/"))))
        .collect();
    let series = "mesh_requests_in_flight{direction=\"outbound\",destination=\"payments\"}";
    running.until_metric(series, HELD as f64).await;
    assert_eq!(app.count(), 0);
    let begin = Instant::now();
    running.signal(Signal::USR1);
    for one in held {
        assert_eq!(within(one).await.unwrap().status, StatusCode::OK);
    }
    // The promise is 300 ms; a busy machine may take its time.
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(running.times_said("SIGUSR1: all chaos rules are off"), 1);
    running.signal(Signal::USR1);
    running.stop();
}
