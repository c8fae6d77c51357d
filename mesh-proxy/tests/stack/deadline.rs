//! Time that is passed on, and streams that end.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::{Instant, sleep};

use crate::support::{App, Proxy, get, open, policy, send, serve};

/// Before an application that sends a piece every second, four times, and then is silent.
async fn streaming(settings: &str) -> Proxy {
    let address = serve(|_| async {
        let pieces = futures_util::stream::unfold(0, |sent| async move {
            if sent == 4 {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_secs(1)).await;
            let piece = Frame::data(Bytes::from_static(b"x"));
            Some((Ok::<_, std::io::Error>(piece), sent + 1))
        });
        Response::new(StreamBody::new(Box::pin(pieces)).boxed_unsync())
    })
    .await;
    let yaml = format!(
        "
clusters: {{ payments: {{ endpoints: [$app] }} }}
routes: [{{ name: payments, match: {{}}, cluster: payments, deadline: 2500ms, {settings} }}]
"
    );
    Proxy::outbound(policy(&yaml, &[("app", address)]))
}

/// Pieces that came, and how long it took until the stream broke off.
async fn read(proxy: &Proxy) -> (usize, Duration) {
    let begin = Instant::now();
    let mut body = open(proxy.out(), get("payments", "/"))
        .await
        .unwrap()
        .into_body();
    let mut pieces = 0;
    while let Some(Ok(_)) = body.frame().await {
        pieces += 1;
    }
    (pieces, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline_that_covers_it() {
    let (pieces, took) = read(&streaming("idle_timeout: 30s").await).await;
    assert_eq!(pieces, 2);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_deadline_does_not_cover_ends_when_it_goes_silent() {
    let proxy = streaming("deadline_covers_body: false, idle_timeout: 10s").await;
    let (pieces, took) = read(&proxy).await;
    assert_eq!(pieces, 4);
    let (least, most) = (Duration::from_secs(13), Duration::from_secs(16));
    assert!(took >= least && took < most, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn grpcs_deadline_is_adopted_and_passed_on_with_what_is_left() {
    let app = App::fine().await;
    let yaml = "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments }]
";
    let proxy = Proxy::outbound(policy(yaml, &[("app", app.address)]));
    let mut request = get("payments", "/shop.Pay/Charge");
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("grpc-timeout", "900m".parse().unwrap());
    send(proxy.out(), request).await;
    let seen = &app.seen()[0].headers;
    let left = |name: &str, unit: char| -> u64 {
        let text = seen[name].to_str().unwrap();
        text.trim_end_matches(unit).parse().unwrap()
    };
    assert!((1..=900).contains(&left("grpc-timeout", 'm')), "{seen:?}");
    assert!(
        (1..=900).contains(&left("x-mesh-deadline-ms", ' ')),
        "{seen:?}"
    );
    let record = &proxy.records(1).await[0];
    assert!(record.contains("rpc.method=shop.Pay/Charge"), "{record}");
}

#[tokio::test]
async fn a_stream_without_any_end_is_a_problem_of_the_policy() {
    let yaml = "
clusters: { a: {} }
routes: [{ name: r, match: {}, cluster: a, deadline_covers_body: false }]
";
    let problems = mesh_proxy::config::check(&policy(yaml, &[]));
    assert_eq!(problems[0].key, "routes[0].deadline_covers_body");
    assert!(problems[0].message.contains("idle_timeout"));
}
