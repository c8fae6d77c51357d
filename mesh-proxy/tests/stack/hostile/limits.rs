//! What listeners bear.

use std::time::Duration;

use mesh_proxy::config::ListenerLimits;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{connect, drip, limited, orders, raw, rest, until, until_or_end};
use crate::support::App;

const GET: &str = "GET / HTTP/1.1\r\nhost: payments\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_too_slowly_is_refused() {
    let app = App::fine().await;
    let head_timeout = Duration::from_secs(8);
    let proxy = limited(
        &app,
        ListenerLimits {
            head_timeout,
            ..ListenerLimits::default()
        },
    );
    let stream = connect(&proxy, "GET / HTTP/1.1\r\n").await;
    let begin = Instant::now();
    let answer = drip(stream, b"x: y\r\n", Duration::from_secs(1)).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begin.elapsed() >= head_timeout, "{:?}", begin.elapsed());
    let mut stream = connect(&proxy, format!("{GET}GET / HTTP")).await;
    let answers = rest(&mut stream).await;
    assert!(
        answers.contains("HTTP/1.1 200") && answers.contains("HTTP/1.1 408"),
        "{answers}"
    );
    assert!(answers.contains("head_timeout"), "{answers}");
    for silent in ["", "PRI * HTTP/2.0\r\n"] {
        let begin = Instant::now();
        let mut stream = connect(&proxy, silent).await;
        assert_eq!(rest(&mut stream).await, "", "{silent:?}");
        assert!(begin.elapsed() >= head_timeout, "{silent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_too_large_are_refused() {
    let app = App::fine().await;
    let limits = ListenerLimits {
        max_head: 8192,
        max_headers: 20,
        ..ListenerLimits::default()
    };
    let proxy = limited(&app, limits);
    let large = format!(
        "GET / HTTP/1.1\r\nhost: payments\r\nx: {}\r\n\r\n",
        "y".repeat(9000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: payments\r\n{}\r\n",
        "x: y\r\n".repeat(30)
    );
    for head in [large, many] {
        let answer = raw(&proxy, head).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert_eq!(app.count(), 0);
    let fine = format!(
        "GET / HTTP/1.1\r\nhost: payments\r\nconnection: close\r\nx: {}\r\n\r\n",
        "y".repeat(7000)
    );
    assert!(raw(&proxy, fine).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let app = App::fine().await;
    let idle_timeout = Some(Duration::from_secs(20));
    let proxy = limited(
        &app,
        ListenerLimits {
            idle_timeout,
            ..ListenerLimits::default()
        },
    );
    let mut stream = connect(&proxy, GET).await;
    until(&mut stream, "ok").await;
    sleep(Duration::from_secs(15)).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    until(&mut stream, "ok").await;
    let begin = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    let took = begin.elapsed();
    assert!(
        (Duration::from_secs(19)..Duration::from_secs(24)).contains(&took),
        "{took:?}"
    );
    // Without the limit, for as long as one likes.
    let proxy = orders(&app);
    let mut stream = connect(&proxy, GET).await;
    until(&mut stream, "ok").await;
    sleep(Duration::from_hours(30)).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    until(&mut stream, "ok").await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_asked_to_end() {
    let app = App::fine().await;
    let max_connection_age = Some(Duration::from_mins(1));
    let proxy = limited(
        &app,
        ListenerLimits {
            max_connection_age,
            ..ListenerLimits::default()
        },
    );
    let mut stream = connect(&proxy, GET).await;
    let begin = Instant::now();
    let mut answers = 0;
    while begin.elapsed() < Duration::from_mins(2) {
        let answer = until_or_end(&mut stream, "ok").await;
        if answer.is_empty() || answer.contains("connection: close") {
            break;
        }
        answers += 1;
        sleep(Duration::from_millis(300)).await;
        stream.write_all(GET.as_bytes()).await.unwrap();
    }
    assert!(answers > 100, "{answers}");
    let age = begin.elapsed();
    assert!(
        (Duration::from_secs(54)..Duration::from_secs(63)).contains(&age),
        "{age:?}"
    );
}

#[tokio::test]
async fn a_full_listener_lets_others_wait() {
    let app = App::fine().await;
    let proxy = limited(
        &app,
        ListenerLimits {
            max_connections: 2,
            ..ListenerLimits::default()
        },
    );
    let mut held = connect(&proxy, GET).await;
    until(&mut held, "ok").await;
    let mut second = connect(&proxy, GET).await;
    until(&mut second, "ok").await;
    let mut third = connect(&proxy, GET).await;
    let early = timeout(Duration::from_millis(300), until(&mut third, "ok")).await;
    assert!(early.is_err(), "{early:?}");
    drop(held);
    until(&mut third, "ok").await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_goodbye_on_every_connection() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let mut resting = connect(&proxy, GET).await;
    until(&mut resting, "ok").await;
    sleep(Duration::from_secs(10)).await;
    let mut fresh = connect(&proxy, "").await;
    let mut busy = connect(&proxy, GET).await;
    until(&mut busy, "ok").await;
    let begin = Instant::now();
    proxy.sidecar.drain().await;
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    for stream in [&mut resting, &mut fresh, &mut busy] {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_has_limits_too() {
    let app = App::fine().await;
    let proxy = orders(&app);
    let begin = Instant::now();
    let mut stream = TcpStream::connect(proxy.sidecar.admin_address())
        .await
        .unwrap();
    stream.write_all(b"GET /config HTTP/1.1\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}
