//! An attempt beside a slow one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};

use crate::support::{AnyBody, App, Proxy, ended, get, open, policy, post, send, serve, text};

const HEDGED: &str = "
clusters: { payments: { endpoints: [$slow, $quick], consecutive_failures: 1, budget: { share: 1, floor: 10 } } }
routes: [{ name: payments, match: {}, cluster: payments, hedge: { after: 50ms } }]
";

/// Answers after this pause with what it was sent; counts who asked.
async fn slow(pause: Duration, status: StatusCode) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = serve(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            sleep(pause).await;
            let mut response: Response<AnyBody> = Response::new(crate::support::full(body));
            *response.status_mut() = status;
            response
        }
    })
    .await;
    (address, count)
}

/// A proxy before two endpoints of which one takes ten seconds.
async fn one_is_slow(yaml: &str) -> (Proxy, Arc<AtomicUsize>, App) {
    let (slow, asked) = slow(Duration::from_secs(10), StatusCode::OK).await;
    let quick =
        App::answering(|_, seen| Response::new(crate::support::full(seen.body.clone()))).await;
    let both = [("slow", slow), ("quick", quick.address)];
    (Proxy::outbound(policy(yaml, &both)), asked, quick)
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_overtaken_and_not_blamed() {
    let (proxy, asked, quick) = one_is_slow(HEDGED).await;
    for _ in 0..12 {
        let begin = Instant::now();
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    assert!(
        asked.load(Ordering::Relaxed) > 0,
        "the slow one was never first"
    );
    assert_eq!(quick.count(), 12, "the other endpoint, each time");
    assert_eq!(proxy.votes("payments").await.1, 0);
    let records = proxy.records(12).await;
    let hedged = records
        .iter()
        .find(|record| record.contains("* mesh.hedge"))
        .unwrap();
    assert!(hedged.contains("mesh.attempts=2"), "{hedged}");
    assert!(
        hedged.contains("mesh.attempt=1 mesh.cancelled=hedge"),
        "{hedged}"
    );
    assert!(
        hedged.contains("mesh.attempt=2 mesh.hedge=true"),
        "{hedged}"
    );
    assert!(!hedged.contains("ERROR"), "{hedged}");
}

#[tokio::test(start_paused = true)]
async fn both_attempts_send_the_whole_body() {
    let yaml = HEDGED.replace(
        "cluster: payments,",
        "cluster: payments, retry: { any_method: true },",
    );
    let (proxy, asked, quick) = one_is_slow(&yaml).await;
    while asked.load(Ordering::Relaxed) == 0 {
        let answer = send(proxy.out(), post("payments", "/", "charge")).await;
        assert_eq!(answer.body, "charge");
    }
    assert!(quick.seen().iter().all(|seen| seen.body == "charge"));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_is_not_hedged() {
    let (proxy, asked, quick) = one_is_slow(HEDGED).await;
    while asked.load(Ordering::Relaxed) == 0 {
        send(proxy.out(), post("payments", "/", "charge")).await;
    }
    let all = quick.count() + 1;
    let records = proxy.records(all).await;
    let refused = "mesh.hedge_refused=not_idempotent";
    assert!(records.last().unwrap().contains(refused), "{records:?}");
    assert_eq!(proxy.votes("payments").await, (all as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn hedges_end_with_the_retry_budget() {
    let yaml = HEDGED.replace(
        "share: 1, floor: 10 }",
        "share: 0, floor: 0.1 }, balance: round-robin",
    );
    let (proxy, asked, _quick) = one_is_slow(&yaml).await;
    while asked.load(Ordering::Relaxed) < 2 {
        send(proxy.out(), get("payments", "/")).await;
    }
    let mut records = proxy.records(2).await;
    records.retain(|record| record.contains("budget_exhausted"));
    assert_eq!(records.len(), 1, "one was granted, the next refused");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_win_while_another_attempt_runs() {
    let (late, _) = slow(Duration::from_millis(200), StatusCode::OK).await;
    let (bad, _) = slow(Duration::from_millis(100), StatusCode::SERVICE_UNAVAILABLE).await;
    let both = [("slow", late), ("quick", bad)];
    let yaml = HEDGED.replace("consecutive_failures: 1", "consecutive_failures: 0");
    let proxy = Proxy::outbound(policy(&yaml, &both));
    for _ in 0..10 {
        let answer = send(proxy.out(), get("payments", "/")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedged_request_that_fails_is_retried() {
    let app = App::answering(|number, _| match number {
        1 => text(StatusCode::SERVICE_UNAVAILABLE, "no"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let yaml = HEDGED
        .replace("$slow, $quick", "$app")
        .replace("consecutive_failures: 1", "consecutive_failures: 0")
        .replace("cluster: payments,", "cluster: payments, retry: {},");
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!((answer.status, app.count()), (StatusCode::OK, 2));
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_endpoint_is_known_to_be_slow() {
    let (proxy, asked, _quick) = one_is_slow(HEDGED).await;
    while asked.load(Ordering::Relaxed) == 0 {
        send(proxy.out(), get("payments", "/")).await;
    }
    for _ in 0..20 {
        send(proxy.out(), get("payments", "/")).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "nobody else waits for it");
    assert_eq!(proxy.votes("payments").await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_within_a_race_leaves_nothing_behind() {
    let pause = Duration::from_hours(1);
    let (one, asked_one) = slow(pause, StatusCode::OK).await;
    let (other, asked_other) = slow(pause, StatusCode::OK).await;
    let yaml = HEDGED.replace("hedge:", "deadline: 2h, hedge:");
    let proxy = Proxy::outbound(policy(&yaml, &[("slow", one), ("quick", other)]));
    let leaving = mesh_telemetry::task::spawn("caller", open(proxy.out(), get("payments", "/")));
    while asked_one.load(Ordering::Relaxed) + asked_other.load(Ordering::Relaxed) < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    leaving.abort();
    assert!(leaving.await.is_err());
    let record = ended(&proxy).await;
    assert_eq!(
        record.matches("mesh.cancelled=caller").count(),
        2,
        "{record}"
    );
    let clusters = proxy.admin("/clusters").await;
    for endpoint in clusters[0]["endpoints"].as_array().unwrap() {
        assert_eq!(endpoint["in_flight"], 0, "{endpoint}");
        assert!(endpoint["load"].as_f64().unwrap() < 0.1, "{endpoint}");
    }
    assert_eq!(proxy.votes("payments").await, (0, 0));
}
