//! What was promised happens, sooner or later, and once.

use kit::{Database, Id};
use orders::api::{Item, Line, NewOrder, Order, Status};
use orders::store::{STEPS, Store};

use crate::support::{Fault, Shop, order};

#[tokio::test]
async fn orders_succeed_while_nobody_can_be_notified() {
    let shop = Shop::open().await;
    shop.break_it("notifications", Some(http::Method::POST), Fault::Down);
    for _ in 0..5 {
        assert_eq!(shop.post("/orders", order(1, 1)).await.status, 201);
    }
    assert_eq!(shop.get("/notifications").await.body, serde_json::json!([]));
    shop.repair();
    shop.until("/notifications", |list| list.as_array().unwrap().len() == 5)
        .await;
}

#[tokio::test]
async fn an_announcement_whose_answer_was_lost_arrives_once() {
    let shop = Shop::open().await;
    shop.break_it("notifications", Some(http::Method::POST), Fault::AnswerLost);
    shop.post("/orders", order(1, 1)).await;
    shop.until("/notifications", |list| list[0].is_object())
        .await;
    shop.repair();
    // The repetition of the first must have come through once this one has.
    shop.post("/orders", order(1, 1)).await;
    let list = shop
        .until("/notifications", |list| list[1].is_object())
        .await;
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn announcements_survive_the_end_of_the_process() {
    let shop = Shop::open().await;
    shop.break_it("notifications", Some(http::Method::POST), Fault::Down);
    shop.post("/orders", order(1, 1)).await;
    let folder = shop.close().await;
    let shop = Shop::open_in(folder).await;
    shop.until("/notifications", |list| list[0].is_object())
        .await;
}

#[tokio::test]
async fn an_order_whose_process_died_is_carried_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), "orders", STEPS)
        .await
        .unwrap();
    // Written down long ago, and nothing after that.
    let order = Order {
        order_id: "abandoned".to_owned(),
        user_id: Id(1),
        status: Status::Pending,
        total_cents: 1180,
        payment_id: None,
        reason: None,
        created_at_ms: 0,
        items: vec![Item {
            product_id: Id(3),
            quantity: 2,
            price_cents: 590,
        }],
    };
    let request = NewOrder {
        user_id: Id(1),
        items: vec![Line {
            product_id: Id(3),
            quantity: 2,
        }],
    };
    let store = Store::new(database.clone());
    store.begin(&order, Some("k"), &request).await.unwrap();
    database.close().await;

    let shop = Shop::open_in(folder).await;
    shop.until("/orders/abandoned", |order| order["status"] == "confirmed")
        .await;
    assert_eq!(shop.units(3).await, 999_998);
    // Its caller, asking again, learns what came of it.
    let body = serde_json::to_value(&request).unwrap();
    let again = shop.post_with_key("/orders", "k", body).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.body["order_id"], "abandoned");
}
