//! The example of docs/routing.md, in front of four applications.

use http::{Method, StatusCode};
use mesh_proxy::{explain::explain, lint::lint};

use crate::{
    pages::example,
    support::{App, Proxy, get, send},
};

const PAGE: &str = include_str!("../../../docs/routing.md");

#[test]
fn the_example_needs_no_advice() {
    assert_eq!(lint(&example(PAGE).policy), []);
}

#[test]
fn the_example_is_explained_as_the_page_says() {
    let url = "http://shop/invoices/7".parse().unwrap();
    let headers = http::HeaderMap::new();
    let found = explain(
        &example(PAGE).policy,
        "gateway",
        &Method::GET,
        &url,
        &headers,
    );
    assert_eq!(found.route.as_deref(), Some("invoices"));
    assert_eq!(found.rewritten.unwrap().path, "/cgi/invoice/7");
}

#[tokio::test(start_paused = true)]
async fn the_example_does_what_the_page_says() {
    let mut config = example(PAGE);
    // So that one request is enough to see the copy.
    config.policy.routes[4].mirror.as_mut().unwrap().percent = 100.0;
    let mut apps = Vec::new();
    for name in ["shop", "shop-canary", "legacy", "shadow"] {
        let app = App::fine().await;
        let cluster = config.policy.clusters.get_mut(name).unwrap();
        cluster.endpoints = vec![app.address.to_string()];
        apps.push(app);
    }
    let [shop, canary, legacy, shadow] = apps.as_slice() else {
        unreachable!()
    };
    let proxy = Proxy::start(config);

    let closed = send(proxy.out(), get("shop", "//admin/users")).await;
    assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(closed.headers["retry-after"], "3600");
    let moved = send(proxy.out(), get("www.old-shop.example:8080", "/a?b=c")).await;
    assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(moved.headers["location"], "https://shop.example/a?b=c");

    let mut tester = get("shop", "/");
    tester
        .headers_mut()
        .insert("x-canary", "always".parse().unwrap());
    send(proxy.out(), tester).await;
    assert_eq!(canary.count(), 1);

    let mut invoice = get("shop", "/invoices/7?page=1");
    invoice
        .headers_mut()
        .insert("cookie", "a=b".parse().unwrap());
    send(proxy.out(), invoice).await;
    let seen = &legacy.seen()[0];
    assert_eq!(seen.uri, "/cgi/invoice/7?page=1");
    assert_eq!(seen.headers["host"], "legacy.internal");
    assert!(seen.headers["x-api"] == "1" && !seen.headers.contains_key("cookie"));

    for user in 0..30 {
        let mut request = get("shop", "/");
        request.headers_mut().insert("x-user", user.into());
        send(proxy.out(), request).await;
    }
    assert_eq!(shop.count() + canary.count(), 31);
    assert!(
        canary.count() > 1 && canary.count() < 12,
        "{}",
        canary.count()
    );
    for _ in 0..1000 {
        if shadow.count() == 30 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} of 30 copies", shadow.count());
}
