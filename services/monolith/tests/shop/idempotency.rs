//! The same request twice has one effect.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Fault, Shop, order};

#[tokio::test]
async fn a_key_given_twice_places_one_order() {
    let shop = Shop::open().await;
    let first = shop.post_with_key("/orders", "k", order(1, 2)).await;
    let again = shop.post_with_key("/orders", "k", order(1, 2)).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(shop.units(1).await, 999_998);

    let other = shop.post_with_key("/orders", "k", order(1, 3)).await;
    assert_eq!(other.status, 422);
    assert_eq!(other.body["code"], "idempotency_key_reused");
    assert_eq!(shop.units(1).await, 999_998);
}

#[tokio::test]
async fn many_at_once_with_one_key_place_one_order() {
    let shop = Shop::open().await;
    let all = (0..16).map(|_| shop.post_with_key("/orders", "k", order(1, 2)));
    let statuses: Vec<u16> = join_all(all).await.iter().map(|a| a.status).collect();
    assert!(statuses.contains(&201), "{statuses:?}");
    // The others came while the first was under way, or after it.
    assert!(
        statuses.iter().all(|s| [201, 409].contains(s)),
        "{statuses:?}"
    );
    assert_eq!(shop.units(1).await, 999_998);
    let payments = shop.get("/payments").await.body;
    assert_eq!(payments.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_order_frees_its_key() {
    let shop = Shop::open().await;
    shop.break_it("payments", None, Fault::Down);
    let failed = shop.post_with_key("/orders", "k", order(1, 2)).await;
    assert_eq!(failed.status, 503);
    shop.repair();
    let second = shop.post_with_key("/orders", "k", order(1, 2)).await;
    assert_eq!(second.status, 201, "{}", second.body);
}

#[tokio::test]
async fn a_key_charges_once() {
    let shop = Shop::open().await;
    let charge = |cents| json!({ "order_id": "a", "amount_cents": cents });
    let all = (0..16).map(|_| shop.post_with_key("/payments", "k", charge(5)));
    let answers = join_all(all).await;
    assert!(answers.iter().all(|a| a.status == 200));
    assert!(answers.iter().all(|a| a.body == answers[0].body));
    let payments = shop.get("/payments").await.body;
    assert_eq!(payments.as_array().unwrap().len(), 1);
    let other = shop.post_with_key("/payments", "k", charge(6)).await;
    assert_eq!(other.status, 422);
    // Without a key each request is a charge of its own.
    shop.post("/payments", charge(5)).await;
    shop.post("/payments", charge(5)).await;
    let payments = shop.get("/payments").await.body;
    assert_eq!(payments.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn reserving_and_releasing_can_be_repeated() {
    let shop = Shop::open().await;
    let path = "/inventory/reservations/order-1";
    let items = |n| Some(json!({ "items": [{ "product_id": 1, "quantity": n }] }));
    for _ in 0..2 {
        assert_eq!(shop.call("PUT", path, items(5)).await.status, 200);
        assert_eq!(shop.units(1).await, 999_995);
    }
    let other = shop.call("PUT", path, items(6)).await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (409, &json!("already_reserved"))
    );
    for _ in 0..2 {
        assert_eq!(shop.call("DELETE", path, None).await.status, 200);
        assert_eq!(shop.units(1).await, 1_000_000);
    }
}
