//! Headers that say two things, or speak about what is not theirs.

use super::{orders, raw};
use crate::support::{App, Proxy, get, policy, send};

#[tokio::test(start_paused = true)]
async fn a_request_is_for_one_host_and_says_so_in_one_way() {
    let app = App::fine().await;
    let proxy = orders(&app);
    for text in [
        "GET / HTTP/1.1\r\nhost: payments\r\nhost: users\r\n",
        "GET / HTTP/1.1\r\nhost: payments\r\nhost: payments\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: payments users\r\n",
        "GET / HTTP/1.1\r\nhost: payments@users\r\n",
        "GET / HTTP/1.1\r\nhost: payments/x\r\n",
        "GET / HTTP/1.1\r\nhost: payments:80:80\r\n",
        "GET http://payments/ HTTP/1.1\r\nhost: users\r\n",
        "GET http://payments:81/ HTTP/1.1\r\nhost: payments\r\n",
        "GET http://payments@users/ HTTP/1.1\r\nhost: users\r\n",
    ] {
        let answer = raw(&proxy, format!("{text}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{text:?}: {answer}");
    }
    assert_eq!(app.count(), 0);
    let fine = "GET http://Payments/ HTTP/1.1\r\nhost: payments:80\r\nconnection: close\r\n\r\n";
    assert!(raw(&proxy, fine).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn connection_removes_what_it_names_and_never_what_is_the_meshs() {
    let app = App::fine().await;
    let mut request = get("payments", "/");
    for (name, value) in [
        (
            "connection",
            "x-private, x-mesh-source, x-mesh-deadline-ms, traceparent, authorization, host",
        ),
        ("x-private", "1"),
        ("authorization", "Basic x"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    send(orders(&app).out(), request).await;
    let seen = &app.seen()[0].headers;
    assert!(!seen.contains_key("x-private"), "{seen:?}");
    for name in [
        "x-mesh-source",
        "x-mesh-deadline-ms",
        "traceparent",
        "authorization",
        "host",
    ] {
        assert!(seen.contains_key(name), "{name}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn over_long_baggage_and_tracestate_are_trimmed_and_no_error() {
    let app = App::fine().await;
    let node = Proxy::inbound(app.address, policy("{}", &[]));
    let baggage: Vec<String> = (0..200)
        .map(|n| format!("key{n}={}", "v".repeat(60)))
        .collect();
    let states: Vec<String> = (0..60).map(|n| format!("vendor{n}=x")).collect();
    let mut request = get("payments", "/");
    for (name, value) in [
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        ),
        ("baggage", baggage.join(",")),
        ("tracestate", states.join(",")),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(send(node.inn(), request).await.status, 200);
    let seen = &app.seen()[0].headers;
    let kept = seen["baggage"].to_str().unwrap();
    assert!(
        kept.len() <= 8192 && kept.split(',').count() <= 64,
        "{}",
        kept.len()
    );
    assert!(kept.starts_with("key0=v"));
    let states = seen
        .get("tracestate")
        .map_or(0, |it| it.to_str().unwrap().split(',').count());
    assert!(states <= 32, "{states}");
    let trace = seen["traceparent"].to_str().unwrap();
    assert!(
        trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736"),
        "{trace}"
    );
}
