//! Requests that are refused say why, and change nothing.

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::Shop;

/// Method, path, body, expected status and code.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

const CASES: &[Case] = &[
    // no JSON
    ("POST", "/users", "{\"name\": ", 400, "malformed_json"),
    ("POST", "/products", "", 400, "malformed_json"),
    ("POST", "/orders", "{]", 400, "malformed_json"),
    ("POST", "/payments", "order_id=1", 400, "malformed_json"),
    ("POST", "/notifications", "\u{0}", 400, "malformed_json"),
    // another shape than expected
    ("POST", "/users", "[]", 422, "invalid_value"),
    ("POST", "/users", " [\"Ada\", null]", 422, "invalid_value"),
    ("POST", "/users", "[\"Ada\", ", 400, "malformed_json"),
    ("POST", "/payments", "[\"a\", 100]", 422, "invalid_value"),
    ("POST", "/users", "{\"name\": 7}", 422, "invalid_value"),
    ("POST", "/users", "{\"name\": \"  \"}", 422, "invalid_value"),
    (
        "POST",
        "/users",
        "{\"name\": \"A\", \"email\": \"a\"}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/products",
        "{\"name\": \"A\"}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/products",
        "{\"name\": \"A\", \"price_cents\": 0}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/products",
        "{\"name\": \"A\", \"price_cents\": -5}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/products",
        "{\"name\": \"A\", \"price_cents\": 1.5}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/products",
        "{\"name\": \"A\", \"price_cents\": 5, \"stock\": -1}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/payments",
        "{\"order_id\": \"a\", \"amount_cents\": 0}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/payments",
        "{\"order_id\": \"a\", \"amount_cents\": -100}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/payments",
        "{\"order_id\": \"\", \"amount_cents\": 100}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/payments",
        "{\"order_id\": \"a\", \"amount_cents\": 10000001}",
        402,
        "payment_declined",
    ),
    (
        "POST",
        "/notifications",
        "{\"message\": \"\", \"user_id\": 1}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/notifications",
        "{\"message\": \"a\", \"user_id\": -1}",
        422,
        "invalid_value",
    ),
    (
        "PUT",
        "/inventory/1",
        "{\"units\": -1}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/inventory/1/restock",
        "{\"quantity\": 0}",
        422,
        "invalid_value",
    ),
    (
        "PUT",
        "/inventory/reservations/a",
        "{\"items\": []}",
        422,
        "invalid_value",
    ),
    (
        "PUT",
        "/inventory/reservations/a",
        "{\"items\": [{\"product_id\": 1, \"quantity\": -2}]}",
        422,
        "invalid_value",
    ),
    // orders
    (
        "POST",
        "/orders",
        "{\"user_id\": 1, \"items\": []}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 0, \"items\": []}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 1, \"items\": [{\"product_id\": 1, \"quantity\": 0}]}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 1, \"items\": [{\"product_id\": 1, \"quantity\": -3}]}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 1, \"items\": [{\"product_id\": 1, \"quantity\": 10001}]}",
        422,
        "invalid_value",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 999, \"items\": [{\"product_id\": 1, \"quantity\": 1}]}",
        422,
        "unknown_user",
    ),
    (
        "POST",
        "/orders",
        "{\"user_id\": 1, \"items\": [{\"product_id\": 999, \"quantity\": 1}]}",
        422,
        "unknown_product",
    ),
    // unknown ids and paths
    ("GET", "/users/999", "", 404, "not_found"),
    ("GET", "/users/me", "", 404, "not_found"),
    ("GET", "/users/-1", "", 404, "not_found"),
    ("GET", "/products/999", "", 404, "not_found"),
    ("GET", "/inventory/999", "", 404, "not_found"),
    ("GET", "/inventory/reservations/none", "", 404, "not_found"),
    ("GET", "/orders/none", "", 404, "not_found"),
    ("GET", "/payments/none", "", 404, "not_found"),
    ("GET", "/users/1/friends", "", 404, "not_found"),
    ("GET", "/nowhere", "", 404, "not_found"),
    // bad queries
    ("GET", "/orders?user_id=x", "", 400, "invalid_query"),
    ("GET", "/products?ids=1,x", "", 400, "invalid_query"),
    ("GET", "/users?limit=many", "", 400, "invalid_query"),
    // wrong methods
    ("DELETE", "/users", "", 405, "method_not_allowed"),
    ("PATCH", "/orders/1", "{}", 405, "method_not_allowed"),
    ("PUT", "/payments", "{}", 405, "method_not_allowed"),
    ("POST", "/docs", "{}", 405, "method_not_allowed"),
];

#[tokio::test]
async fn every_refusal_has_its_status_and_code_and_changes_nothing() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    for &(method, path, body, status, code) in CASES {
        let headers = [("content-type", "application/json")];
        let answer = shop.send(method, path, &headers, Body::from(body)).await;
        let case = format!("{method} {path} {body}: {} {}", answer.status, answer.body);
        assert_eq!(answer.status, status, "{case}");
        assert_eq!(answer.body["code"], code, "{case}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(!message.is_empty(), "{case}");
        assert_eq!(answer.body.as_object().unwrap().len(), 2, "{case}");
    }
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let shop = Shop::open().await;
    let allowed = shop.call("DELETE", "/orders", None).await.headers;
    assert_eq!(allowed["allow"], "POST,GET,HEAD");
}

#[tokio::test]
async fn a_body_that_is_no_json_by_its_own_word_is_refused() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let body = Body::from("{\"name\": \"A\"}");
        let answer = shop
            .send("POST", "/users", &[("content-type", kind)], body)
            .await;
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.body["code"], "unsupported_media_type");
    }
    let body = Body::from("{\"name\": \"A\"}");
    assert_eq!(shop.send("POST", "/users", &[], body).await.status, 415);
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_stated_length() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    let text = json!({ "name": "A".repeat(kit::extract::MAX_BODY) }).to_string();
    let headers = [("content-type", "application/json")];
    let stated = Body::from(text.clone());
    let chunks = text
        .into_bytes()
        .chunks(4096)
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
    let unstated = Body::from_stream(futures_util::stream::iter(chunks));
    for body in [stated, unstated] {
        let answer = shop.send("POST", "/users", &headers, body).await;
        assert_eq!(answer.status, 413);
        assert_eq!(answer.body["code"], "body_too_large");
    }
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn unknown_fields_are_tolerated() {
    let shop = Shop::open().await;
    let user = json!({ "name": "A", "shoe_size": 43 });
    let answer = shop.post("/users", user).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body.get("shoe_size"), None::<&Value>);
}

#[tokio::test]
async fn an_unusable_idempotency_key_is_refused() {
    let shop = Shop::open().await;
    let charge = json!({ "order_id": "a", "amount_cents": 5 });
    let answer = shop
        .post_with_key("/payments", &"k".repeat(256), charge)
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body["code"], "invalid_idempotency_key");
    assert_eq!(shop.get("/payments").await.body, json!([]));
}
