//! What a failing dependency does to an order: nothing is reserved or charged
//! for an order that failed, however it failed.

use http::Method;
use serde_json::json;

use crate::support::{Fault, Shop, order};

/// The order failed, the caller is told by whom, and the books are balanced.
async fn assert_undone(shop: &Shop, culprit: &'static str, method: Method, fault: Fault) {
    shop.break_it(culprit, Some(method), fault);
    let failed = shop.post("/orders", order(4, 7)).await;
    assert_eq!(failed.status, 503, "{culprit} {fault:?}: {}", failed.body);
    let message = failed.body["message"].as_str().unwrap();
    assert!(message.contains(culprit), "{message}");
    shop.repair();
    shop.until("/inventory/4", |stock| stock["units"] == 1_000_000)
        .await;
    let payments = shop.get("/payments").await.body;
    let charged = payments.as_array().unwrap().iter();
    assert_eq!(charged.filter(|p| p["status"] == "charged").count(), 0);
    let orders = shop.get("/orders").await.body;
    let open = orders.as_array().unwrap().iter();
    assert_eq!(open.filter(|o| o["status"] != "failed").count(), 0);
}

#[tokio::test]
async fn a_dependency_that_is_down_leaves_no_trace_of_the_order() {
    let shop = Shop::open().await;
    for culprit in ["users", "products"] {
        assert_undone(&shop, culprit, Method::GET, Fault::Down).await;
    }
    assert_undone(&shop, "inventory", Method::PUT, Fault::Down).await;
    assert_undone(&shop, "payments", Method::POST, Fault::Down).await;
}

#[tokio::test]
async fn a_lost_answer_is_undone_although_the_work_was_done() {
    let shop = Shop::open().await;
    assert_undone(&shop, "inventory", Method::PUT, Fault::AnswerLost).await;
    assert_undone(&shop, "payments", Method::POST, Fault::AnswerLost).await;
    let payments = shop.get("/payments").await.body;
    assert_eq!(payments[0]["status"], "refunded");
}

#[tokio::test]
async fn what_cannot_be_undone_at_once_is_undone_later() {
    let shop = Shop::open().await;
    shop.break_it("payments", None, Fault::AnswerLost);
    shop.break_it("inventory", Some(Method::DELETE), Fault::Down);
    let failed = shop.post("/orders", order(4, 7)).await;
    assert_eq!(failed.status, 503);
    assert_eq!(shop.units(4).await, 999_993);
    shop.repair();
    shop.until("/inventory/4", |stock| stock["units"] == 1_000_000)
        .await;
    shop.until("/payments", |list| list[0]["status"] == "refunded")
        .await;
}

#[tokio::test]
async fn a_charge_that_arrives_after_the_refund_is_refused() {
    let shop = Shop::open().await;
    let path = "/payments/refunds/order-1";
    let refund = shop.call("PUT", path, None).await;
    assert_eq!(
        (refund.status, &refund.body["refunded_cents"]),
        (200, &json!(0))
    );
    let late = json!({ "order_id": "order-1", "amount_cents": 100 });
    let late = shop.post_with_key("/payments", "order-1", late).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("order_given_up"))
    );
}

#[tokio::test]
async fn a_reservation_that_arrives_after_the_release_is_refused() {
    let shop = Shop::open().await;
    let path = "/inventory/reservations/order-1";
    let items = json!({ "items": [{ "product_id": 1, "quantity": 5 }] });
    assert_eq!(shop.call("DELETE", path, None).await.status, 200);
    let late = shop.call("PUT", path, Some(items)).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("already_released"))
    );
    assert_eq!(shop.units(1).await, 1_000_000);
}
