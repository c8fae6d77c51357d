//! The example of docs/operations.md does what the page says.

use http::StatusCode;
use mesh_proxy::{config::SidecarConfig, explain::explain};

use crate::{
    pages::example,
    support::{App, Proxy, get, send},
};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// The example in front of this application, on free ports.
fn running(app: &App) -> SidecarConfig {
    let mut config = example(PAGE);
    let payments = config.policy.clusters.get_mut("payments").unwrap();
    payments.endpoints = vec![app.address.to_string()];
    config
}

#[tokio::test]
async fn the_example_serves_and_can_be_changed_while_it_does() {
    let app = App::fine().await;
    let proxy = Proxy::start(running(&app));
    let answer = send(proxy.out(), get("payments", "/charges/7")).await;
    assert_eq!(answer.status, StatusCode::OK);

    let mut without = running(&app);
    without.policy.routes.truncate(1);
    without.telemetry.sample_ratio = 1.0;
    assert_eq!(proxy.sidecar.reload(without), Ok(true));
    let answer = send(proxy.out(), get("payments", "/refunds")).await;
    assert_eq!(answer.reason(), "no_route");

    let mut moved = running(&app);
    moved.instance = "orders-2".to_owned();
    let problems = proxy.sidecar.reload(moved).unwrap_err();
    assert_eq!(problems[0].key, "instance");
    let answer = send(proxy.out(), get("payments", "/refunds")).await;
    assert_eq!(answer.reason(), "no_route", "nothing of it is in force");
}

#[tokio::test]
async fn a_console_that_has_spoken_wins_over_the_file() {
    let app = App::fine().await;
    let proxy = Proxy::start(running(&app));
    let console = running(&app).policy;
    proxy.sidecar.apply(7, console).unwrap();
    let mut file = running(&app);
    file.policy.routes.clear();
    assert_eq!(proxy.sidecar.reload(file), Ok(false));
    let answer = send(proxy.out(), get("payments", "/refunds")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(proxy.sidecar.revision(), 7);
}

#[test]
fn the_example_is_explained_as_the_page_has_it() {
    let policy = example(PAGE).policy;
    let url = "http://payments/charges/7".parse().unwrap();
    let explained = explain(
        &policy,
        "orders",
        &http::Method::GET,
        &url,
        &http::HeaderMap::new(),
    );
    assert_eq!(explained.route.as_deref(), Some("charges"));
    assert_eq!(explained.worst_case.attempts, 3);
    assert!(explained.to_string().contains("charges"), "{explained}");
}
