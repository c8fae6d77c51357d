//! Start, swap, drain.

use std::time::Duration;

use http::{Response, StatusCode};
use mesh_proxy::Sidecar;
use mesh_telemetry::{Readiness, proxy::Sink, task};
use tokio::{net::TcpStream, sync::mpsc::channel};

use crate::support::{App, Proxy, config, full, get, policy, post, send, serve, within};

const OUT: &str = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments, deadline: 30s, rate_limit: { per_second: 1 } }]
";

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_accepts_nothing_more() {
    let (asked, mut arrived) = channel(1);
    let (go, gate) = tokio::sync::watch::channel(false);
    let app = serve(move |_| {
        let (asked, mut gate) = (asked.clone(), gate.clone());
        async move {
            asked.send(()).await.unwrap();
            gate.wait_for(|open| *open).await.unwrap();
            Response::new(full("done"))
        }
    })
    .await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", app)]));
    let (out, readiness) = (proxy.out(), proxy.readiness.clone());
    assert!(readiness.is_ready());
    let in_flight = task::spawn("caller", send(out, get("payments", "/")));
    within(arrived.recv()).await.unwrap();
    let drained = task::spawn("drain", proxy.sidecar.drain());
    while TcpStream::connect(out).await.is_ok() {
        tokio::task::yield_now().await; // what the kernel had already taken is closed unserved
    }
    assert!(!readiness.is_ready());
    assert!(!drained.is_finished());
    go.send(true).unwrap();
    assert_eq!(within(in_flight).await.unwrap().body, "done");
    within(drained).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_ever() {
    let app = serve(|_| std::future::pending()).await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", app)]));
    let stuck = task::spawn(
        "caller",
        crate::support::open(proxy.out(), get("payments", "/")),
    );
    while proxy.admin("/clusters").await[0]["endpoints"][0]["in_flight"] == 0 {
        tokio::task::yield_now().await;
    }
    let begin = tokio::time::Instant::now();
    proxy.sidecar.drain().await;
    assert!(
        begin.elapsed() <= Duration::from_secs(11),
        "{:?}",
        begin.elapsed()
    );
    assert!(within(stuck).await.unwrap().is_err());
}

#[tokio::test]
async fn the_admin_api_can_begin_a_drain() {
    let app = App::fine().await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", app.address)]));
    let mut request = post("localhost", "/drain", "");
    request
        .headers_mut()
        .insert("x-glassmesh", "1".parse().unwrap());
    send(proxy.sidecar.admin_address(), request).await;
    within(proxy.sidecar.drain_begun()).await;
    within(proxy.sidecar.drain()).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_snapshot_is_refused_and_the_old_one_stays() {
    let app = App::fine().await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", app.address)]));
    let bad = policy("routes: [{ name: a, match: {}, cluster: nowhere }]", &[]);
    let problems = proxy.sidecar.apply(7, bad).unwrap_err();
    assert_eq!(problems[0].key, "routes[0].cluster");
    assert_eq!(proxy.sidecar.revision(), 0);
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_swap_keeps_the_state_of_what_it_does_not_change() {
    let app = App::fine().await;
    let proxy = Proxy::outbound(policy(OUT, &[("app", app.address)]));
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    let mut next = policy(OUT, &[("app", app.address)]);
    next.routes[0].deadline = Duration::from_secs(9);
    proxy.sidecar.apply(1, next).unwrap();
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(
        answer.reason(),
        "rate_limited",
        "the bucket is as empty as before"
    );
    assert_eq!(proxy.votes("payments").await, (1, 0));
}

#[tokio::test]
async fn several_workers_share_a_port() {
    let app = App::fine().await;
    let mut settings = config(
        "orders",
        None,
        policy(
            &OUT.replace(", rate_limit: { per_second: 1 }", ""),
            &[("app", app.address)],
        ),
    );
    settings.workers = 2;
    let proxy = Proxy::start(settings);
    for _ in 0..20 {
        assert_eq!(
            within(send(proxy.out(), get("payments", "/"))).await.status,
            StatusCode::OK
        );
    }
    within(proxy.sidecar.drain()).await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = config("orders", None, policy("{}", &[]));
    settings.outbound.as_mut().unwrap().listen = taken.local_addr().unwrap();
    let started = Sidecar::start(settings, Sink::disconnected(), Readiness::default());
    let error = started.err().unwrap().to_string();
    assert!(error.contains("outbound.listen"), "{error}");
}

#[tokio::test]
async fn a_copy_goes_to_the_mirror_and_its_answer_nowhere() {
    let (app, shadow) = (
        App::fine().await,
        App::failing(StatusCode::IM_A_TEAPOT).await,
    );
    let yaml = "
clusters: { payments: { endpoints: [$app] }, next: { endpoints: [$shadow] } }
routes: [{ name: payments, match: {}, cluster: payments, mirror: { cluster: next, percent: 100 } }]
";
    let proxy = Proxy::outbound(policy(
        yaml,
        &[("app", app.address), ("shadow", shadow.address)],
    ));
    let answer = send(proxy.out(), post("payments", "/pay", "charge")).await;
    assert_eq!(answer.status, StatusCode::OK);
    within(async {
        while shadow.count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(shadow.seen()[0].body, "charge");
    assert_eq!(shadow.seen()[0].method, "POST");
    assert_eq!(app.count(), 1);
}
