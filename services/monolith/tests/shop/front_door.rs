//! The gateway's own pages, and what it passes on.

use axum::body::Body;

use crate::support::{Fault, Shop, order};

#[tokio::test]
async fn one_description_covers_all_services() {
    let shop = Shop::open().await;
    let api = shop.get("/openapi.json").await.body;
    let paths = api["paths"].as_object().unwrap();
    for path in [
        "/users/{id}",
        "/products",
        "/inventory/reservations/{order_id}",
        "/orders",
        "/payments",
        "/notifications",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    let schemas = api["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("orders.Item") && schemas.contains_key("inventory.Item"));
    // Every reference leads somewhere.
    let text = api.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is missing");
    }
}

#[tokio::test]
async fn the_description_says_what_each_write_wants_as_its_body() {
    let shop = Shop::open().await;
    let api = shop.get("/openapi.json").await.body;
    for (path, operations) in api["paths"].as_object().unwrap() {
        for method in ["post", "put"] {
            // A refund is named by its path alone.
            if operations.get(method).is_none() || path.starts_with("/payments/refunds/") {
                continue;
            }
            let body = &operations[method]["requestBody"];
            let schema = &body["content"]["application/json"]["schema"];
            assert!(schema.get("$ref").is_some(), "{method} {path}: {body}");
            assert_eq!(body["required"], true, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_description_grows_complete_when_a_service_comes_back() {
    let shop = Shop::open().await;
    shop.break_it("orders", None, Fault::Down);
    let without = shop.get("/openapi.json").await.body;
    assert!(without["paths"].get("/orders").is_none());
    assert!(without["paths"].get("/users").is_some());
    shop.repair();
    let with = shop.get("/openapi.json").await.body;
    assert!(with["paths"].get("/orders").is_some());
}

#[tokio::test]
async fn people_are_led_to_the_documentation_and_programs_to_a_list() {
    let shop = Shop::open().await;
    let html = [("accept", "text/html,*/*")];
    let answer = shop.send("GET", "/", &html, Body::empty()).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (303, &"/docs".parse().unwrap())
    );
    let list = shop.get("/").await.body;
    assert_eq!(list["openapi"], "/openapi.json");
    for path in ["/docs", "/docs/docs.js", "/docs/docs.css"] {
        let page = shop.get(path).await;
        assert_eq!(page.status, 200);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        assert!(
            !page.body.to_string().contains("https://"),
            "{path} loads from elsewhere"
        );
    }
}

#[tokio::test]
async fn a_failure_without_words_is_put_into_words() {
    let shop = Shop::open().await;
    shop.break_it("orders", None, Fault::Down);
    let answer = shop.post("/orders", order(1, 1)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["code"], "upstream_failed");
    assert!(answer.body["message"].as_str().unwrap().contains("orders"));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_head_request_is_answered_like_get_without_a_body() {
    let shop = Shop::open().await;
    let answer = shop.call("HEAD", "/users/1", None).await;
    assert_eq!((answer.status, answer.body), (200, "".into()));
}
