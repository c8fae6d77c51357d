//! The examples of docs/retries.md and docs/limits.md can be started and do what the
//! pages say.

use http::StatusCode;
use mesh_telemetry::{Component, Identity, Options, install_proxy};

use crate::{
    pages::example,
    support::{App, Proxy, get, send, text},
};

const RETRIES: &str = include_str!("../../../docs/retries.md");
const LIMITS: &str = include_str!("../../../docs/limits.md");

#[tokio::test]
async fn the_example_of_retries_saves_a_request_and_counts_it() {
    let identity = Identity {
        service: "orders".to_owned(),
        instance: "orders-docs".to_owned(),
        component: Component::Sidecar,
    };
    let options = Options {
        identity,
        otlp: None,
        sample_ratio: 1.0,
    };
    let (telemetry, _) = install_proxy(options).unwrap();
    let app = App::answering(|number, _| match number {
        1 => text(StatusCode::TOO_EARLY, "not yet"),
        _ => text(StatusCode::OK, "ok"),
    })
    .await;
    let mut config = example(RETRIES);
    let cluster = config.policy.clusters.get_mut("payments").unwrap();
    cluster.endpoints = vec![app.address.to_string()];
    let proxy = Proxy::start(config);
    let answer = send(proxy.out(), get("payments", "/")).await;
    assert_eq!((answer.status, app.count()), (StatusCode::OK, 2));
    let record = &proxy.records(1).await[0];
    assert!(record.contains("condition=status"), "{record}");
    // What the expressions of the page are made of.
    let page = telemetry.render();
    let edge = "source=\"orders\",destination=\"payments\"";
    for series in [
        format!("mesh_requests_total{{direction=\"outbound\",{edge},"),
        format!("mesh_attempts_total{{{edge},response_code=\"425\""),
        format!("mesh_attempts_total{{{edge},response_code=\"200\""),
        format!("mesh_retry_success_total{{{edge},condition=\"status\"}} 1"),
        format!("mesh_hedges_total{{{edge},result=\"won\"}}"),
    ] {
        assert!(page.contains(&series), "no {series} in\n{page}");
    }
}

#[tokio::test]
async fn the_example_of_limits_gives_each_caller_its_share() {
    let app = App::fine().await;
    let mut config = example(LIMITS);
    config.inbound.as_mut().unwrap().application = app.address;
    let proxy = Proxy::start(config);
    let mut refused = 0;
    for _ in 0..4 {
        let mut request = get("payments", "/");
        let headers = request.headers_mut();
        headers.insert("x-mesh-source", "orders".parse().unwrap());
        let answer = send(proxy.inn(), request).await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 1);
    let mut request = get("payments", "/");
    let headers = request.headers_mut();
    headers.insert("x-mesh-source", "gateway".parse().unwrap());
    let answer = send(proxy.inn(), request).await;
    assert_eq!(answer.status, StatusCode::OK);
}
