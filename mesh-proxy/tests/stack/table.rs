//! Who is blamed for what, with the clock paused: the rules that hold the order
//! of the layers in place.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::support::{App, Proxy, get, policy, send};

const ROUTE: &str = "
clusters: { payments: { endpoints: [$app] } }
routes:
  - name: payments
    match: { authority: payments }
    cluster: payments
    deadline: $deadline
    attempt_timeout: $attempt
    attempt_min: 50ms
    retry: { attempts: 3 }
chaos: [{ id: first, where: orders -> payments, first_attempts: 1, $fault }]
";

async fn first_attempt_meets(fault: &str, deadline: &str, attempt: &str) -> (Proxy, App) {
    let app = App::fine().await;
    let yaml = ROUTE
        .replace("$fault", fault)
        .replace("$deadline", deadline)
        .replace("$attempt", attempt);
    let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
    (proxy, app)
}

#[tokio::test(start_paused = true)]
async fn an_aborted_first_attempt_is_saved_by_the_second() {
    let (proxy, app) = first_attempt_meets("abort: 503", "2s", "200ms").await;
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        app.count(),
        1,
        "the aborted attempt never reached the application"
    );
    assert_eq!(proxy.votes("payments").await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_timed_out_blamed_and_repeated() {
    let (proxy, app) = first_attempt_meets("delay: 10s", "2s", "200ms").await;
    let begin = Instant::now();
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        begin.elapsed() < Duration::from_millis(300),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(app.count(), 1);
    assert_eq!(proxy.votes("payments").await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_impatient_caller_casts_one_vote_and_not_three() {
    let (proxy, app) = first_attempt_meets("delay: 10s", "150ms", "150ms").await;
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.reason(), "deadline");
    assert_eq!(app.count(), 0);
    assert_eq!(proxy.votes("payments").await, (0, 1));
    let record = &proxy.records(1).await[0];
    assert_eq!(record.matches("attempt payments").count(), 1, "{record}");
}
