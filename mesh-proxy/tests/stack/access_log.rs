//! The access log: a line for each request, and no request for a line.

use std::{fs, path::Path, time::Duration};

use http::StatusCode;
use mesh_proxy::config::{AccessLog, FaultKind, LogFormat, check_sidecar};
use mesh_telemetry::proxy::FinishedRequest;
use serde_json::Value;

use crate::support::{App, Proxy, config, get, policy, post, send, text, trace_that, within};

const POLICY: &str = "
clusters: { payments: { endpoints: ['$app'], consecutive_failures: 0 } }
routes:
  - name: payments
    match: { authority: payments }
    cluster: payments
    retry: { attempts: 2, on: [5xx], backoff_base: 1ms, backoff_cap: 1ms }
";

fn to(path: impl AsRef<Path>) -> AccessLog {
    AccessLog {
        to: path.as_ref().to_owned(),
        format: LogFormat::Json,
        sample: 1.0,
    }
}

fn proxy(app: &App, yaml: &str, log: AccessLog) -> Proxy {
    let mut config = config("orders", None, policy(yaml, &[("app", app.address)]));
    config.access_log = Some(log);
    Proxy::start(config)
}

async fn lines(proxy: &Proxy, path: &Path) -> Vec<Value> {
    proxy.sink.access_log().unwrap().flush().await;
    let text = fs::read_to_string(path).unwrap();
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

#[tokio::test]
async fn every_request_has_a_line_that_says_what_its_span_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = App::answering(|number, _| match number {
        2 => text(StatusCode::SERVICE_UNAVAILABLE, "no"),
        _ => text(StatusCode::OK, "fine"),
    })
    .await;
    let proxy = proxy(&app, POLICY, to(&path));
    within(send(
        proxy.out(),
        post("payments", "/pay?card=4711", "hello"),
    ))
    .await;
    within(send(proxy.out(), get("payments", "/a%22b\"c\\d"))).await;
    within(send(proxy.out(), get("nowhere", "/"))).await;
    let spans: Vec<_> = proxy
        .sink
        .take()
        .iter()
        .map(FinishedRequest::spans)
        .collect();
    let lines = lines(&proxy, &path).await;
    assert_eq!(lines.len(), 3);
    for (line, spans) in lines.iter().zip(&spans) {
        let context = &spans[0].span_context;
        assert_eq!(line["trace_id"], context.trace_id().to_string());
        assert_eq!(line["span_id"], context.span_id().to_string());
    }
    let [paid, retried, lost] = &lines[..] else {
        unreachable!()
    };
    for (key, wanted) in [
        ("direction", "outbound"),
        ("source", "orders"),
        ("destination", "payments"),
        ("route", "payments"),
        ("method", "POST"),
        ("path", "/pay"),
        ("endpoint", &app.address.to_string()),
    ] {
        assert_eq!(paid[key], wanted, "{paid}");
    }
    for (key, wanted) in [
        ("status", 200),
        ("attempts", 1),
        ("bytes_in", 5),
        ("bytes_out", 4),
    ] {
        assert_eq!(paid[key], wanted, "{paid}");
    }
    assert!(paid["duration_ms"].as_f64().unwrap() > 0.0, "{paid}");
    assert!(paid["time"].as_str().unwrap().ends_with('Z'), "{paid}");
    assert!(
        paid.get("flags").is_none() && paid.get("reason").is_none(),
        "{paid}"
    );
    assert_eq!(retried["attempts"], 2);
    assert_eq!(retried["path"], "/a%22b\"c\\d");
    assert_eq!(lost["reason"], "no_route");
    assert_eq!(lost["flags"], "NR");
    assert_eq!(lost["status"], 404);
    assert!(lost.get("endpoint").is_none(), "{lost}");
}

#[tokio::test]
async fn what_went_wrong_is_logged_whatever_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = App::answering(|number, _| match number {
        2 => text(StatusCode::SERVICE_UNAVAILABLE, "no"),
        _ => text(StatusCode::OK, "fine"),
    })
    .await;
    let yaml = format!(
        "{POLICY}chaos: [{{ id: slow, where: orders -> payments, percent: 50, delay: 1ms }}]"
    );
    let mut log = to(&path);
    log.sample = 0.0;
    let proxy = proxy(&app, &yaml, log);
    let request = |wanted: &[bool]| {
        let mut request = get("payments", "/");
        let parent = trace_that("slow", FaultKind::Delay, 50.0, wanted)
            .parse()
            .unwrap();
        request.headers_mut().insert("traceparent", parent);
        request
    };
    within(send(proxy.out(), request(&[false]))).await; // fine
    within(send(proxy.out(), request(&[false, false]))).await; // retried
    within(send(proxy.out(), request(&[true]))).await; // faulted
    within(send(proxy.out(), get("nowhere", "/"))).await; // refused
    let lines = lines(&proxy, &path).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["attempts"], &line["flags"]))
        .collect();
    assert_eq!(lines.len(), 3, "{told:?}");
    assert_eq!(lines[0]["attempts"], 2);
    assert_eq!(lines[1]["flags"], "DI");
    assert_eq!(lines[2]["flags"], "NR");
}

#[tokio::test]
async fn a_sample_is_drawn_by_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = App::fine().await;
    let mut log = to(&path);
    log.sample = 0.5;
    let proxy = proxy(&app, POLICY, log);
    for trace in ["0000000000000001", "fffffffffffffffe"] {
        let mut request = get("payments", "/");
        let parent = format!("00-0af7651916cd43dd{trace}-b7ad6b7169203331-01");
        request
            .headers_mut()
            .insert("traceparent", parent.parse().unwrap());
        within(send(proxy.out(), request)).await;
    }
    let lines = lines(&proxy, &path).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd0000000000000001");
}

#[tokio::test]
async fn a_full_disk_costs_no_request() {
    let app = App::fine().await;
    let proxy = proxy(&app, POLICY, to("/dev/full"));
    let path = format!("/{}", "x".repeat(4000));
    for _ in 0..300 {
        let answer = within(send(proxy.out(), get("payments", &path))).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    proxy.sink.access_log().unwrap().flush().await;
}

#[tokio::test]
async fn a_moved_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = App::fine().await;
    let proxy = proxy(&app, POLICY, to(&path));
    within(send(proxy.out(), get("payments", "/one"))).await;
    assert_eq!(lines(&proxy, &path).await.len(), 1);
    fs::rename(&path, folder.path().join("access.log.1")).unwrap();
    proxy.sink.access_log().unwrap().reopen(); // as SIGHUP does
    within(send(proxy.out(), get("payments", "/two"))).await;
    let second = lines(&proxy, &path).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0]["path"], "/two");
    fs::remove_file(&path).unwrap(); // nobody says a word this time
    within(async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    within(send(proxy.out(), get("payments", "/three"))).await;
    assert_eq!(lines(&proxy, &path).await[0]["path"], "/three");
}

#[tokio::test]
async fn the_end_of_a_sidecar_leaves_no_line_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = App::fine().await;
    let mut log = to(&path);
    log.format = LogFormat::Text;
    let proxy = proxy(&app, POLICY, log);
    within(send(proxy.out(), get("payments", "/charge"))).await;
    let trace = proxy.sink.take()[0].spans()[0].span_context.trace_id();
    proxy.sidecar.drain().await;
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    let wanted = "outbound orders -> payments payments GET /charge 200 - - ";
    assert!(text.contains(wanted), "{text}");
    assert!(text.ends_with(&format!("{trace}\n")), "{text}");
}

#[test]
fn a_log_that_cannot_be_written_is_told_before_the_start() {
    let problem = |log: AccessLog| {
        let mut config = config("orders", None, policy("{}", &[]));
        config.access_log = Some(log);
        check_sidecar(&config).remove(0).to_string()
    };
    assert!(problem(to("/no/such/folder/x")).starts_with("access_log.to: "));
    assert!(problem(to("/tmp")).contains("is a folder"));
    let mut log = to("-");
    log.sample = 2.0;
    assert!(problem(log).starts_with("access_log.sample: "));
}

#[tokio::test]
async fn a_request_that_the_end_of_the_drain_cuts_off_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let app = crate::support::serve(|_| std::future::pending()).await;
    let mut config = config("orders", None, policy(POLICY, &[("app", app)]));
    config.access_log = Some(to(&path));
    let proxy = Proxy::start(config);
    let caller = crate::support::open(proxy.out(), get("payments", "/cut-off"));
    let caller = mesh_telemetry::task::spawn("caller", caller);
    within(async {
        while proxy.admin("/clusters").await[0]["endpoints"][0]["in_flight"] == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    within(proxy.sidecar.drain()).await; // waits for it as long as it may, and gives up
    assert!(within(caller).await.unwrap().is_err());
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("/cut-off"), "{text}");
}
