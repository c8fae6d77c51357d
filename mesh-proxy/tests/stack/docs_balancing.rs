//! The example of docs/balancing.md, with endpoints that are there.

use std::collections::HashSet;

use http::StatusCode;

use crate::{
    discovery::{NameServer, address, service},
    pages::example,
    support::{App, Proxy, get, send, text},
};

const PAGE: &str = include_str!("../../../docs/balancing.md");

#[tokio::test]
async fn the_documented_example_does_what_the_page_says() {
    let mut config = example(PAGE);
    let users = App::answering(|_, _| text(StatusCode::OK, "users")).await;
    let name = "users.shop.internal.";
    let server = NameServer::saying(vec![
        service(name, 1, 1, users.address.port(), "host.shop.internal."),
        address("host.shop.internal.", [127, 0, 0, 1]),
    ])
    .await;
    let carts = [App::fine().await, App::fine().await, App::fine().await];
    let payments = App::failing(StatusCode::INTERNAL_SERVER_ERROR).await;
    for (name, cluster) in &mut config.policy.clusters {
        // A loaded machine may be slow to connect; the page's figures are for real ones.
        cluster.connect_timeout = std::time::Duration::from_secs(20);
        match name.as_str() {
            "users" => cluster.dns.as_mut().unwrap().server = Some(server.address),
            "carts" => {
                cluster.endpoints = carts.iter().map(|app| app.address.to_string()).collect();
            }
            _ => {
                cluster.endpoints = vec![payments.address.to_string()];
                cluster.ejection = std::time::Duration::from_secs(20);
                let check = cluster.health_check.as_mut().unwrap();
                check.interval = std::time::Duration::from_mins(1);
            }
        }
    }
    let proxy = Proxy::start(config);

    let found = send(proxy.out(), get("users", "/")).await;
    assert_eq!(&found.body[..], b"users", "found by name");

    for user in ["ada", "bob", "cyd", "dan", "eve"] {
        for _ in 0..3 {
            let mut request = get("carts", "/cart");
            request
                .headers_mut()
                .insert("x-user", user.parse().unwrap());
            send(proxy.out(), request).await;
        }
    }
    let users_of = |app: &App| -> HashSet<String> {
        let seen = app.seen();
        let users = seen.iter().map(|it| it.headers["x-user"].to_str().unwrap());
        users.map(str::to_owned).collect()
    };
    let total: usize = carts.iter().map(|app| users_of(app).len()).sum();
    assert_eq!(total, 5, "a user's requests stay together");

    for _ in 0..5 {
        send(proxy.out(), get("payments", "/")).await;
    }
    let refused = send(proxy.out(), get("payments", "/")).await;
    assert_eq!(refused.reason(), "no_healthy_upstream");
    let clusters = proxy.admin("/clusters").await;
    let ejection = &clusters[1]["endpoints"][0]["ejection"];
    assert_eq!(ejection["reason"], "consecutive_failures", "{clusters:#}");
}
