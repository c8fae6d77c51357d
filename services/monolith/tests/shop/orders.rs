//! What placing an order does.

use http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Fault, Shop, order};

#[tokio::test]
async fn an_order_is_reserved_charged_and_announced() {
    let shop = Shop::open().await;
    let body = json!({ "user_id": 2, "items": [
        { "product_id": 1, "quantity": 2 },
        { "product_id": 3, "quantity": 1 },
        { "product_id": 1, "quantity": 1 },
    ]});
    let created = shop.post("/orders", body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(created.body["message"], "Order created");
    assert_eq!(created.body["status"], "confirmed");
    assert_eq!(created.body["total_cents"], 3 * 6490 + 590);
    let id = created.body["order_id"].as_str().unwrap();
    assert_eq!(created.headers["location"], format!("/orders/{id}"));

    let found = shop.get(&format!("/orders/{id}")).await.body;
    assert_eq!(
        found["items"][0],
        json!({ "product_id": 1, "quantity": 3, "price_cents": 6490 })
    );
    let payments = shop.get(&format!("/payments?order_id={id}")).await.body;
    assert_eq!(payments.as_array().unwrap().len(), 1);
    assert_eq!(payments[0]["amount_cents"], created.body["total_cents"]);
    assert_eq!(payments[0]["payment_id"], found["payment_id"]);
    assert_eq!(shop.units(1).await, 999_997);
    assert_eq!(shop.units(3).await, 999_999);

    let told = shop
        .until("/notifications?user_id=2", |list| list[0].is_object())
        .await;
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(told[0]["topic"], "order.created");
    assert!(told[0]["message"].as_str().unwrap().contains(id));
}

#[tokio::test]
async fn classic_clients_work_with_what_they_are_given() {
    let shop = Shop::open().await;
    let user = shop.post("/users", json!({ "name": "Gita Rao" })).await;
    assert_eq!(user.status, 201);
    assert_eq!(user.body["email"], json!(null));
    let id = user.body["user_id"].to_string();
    assert_eq!(shop.get(&format!("/users/{id}")).await.body, user.body);

    let product = json!({ "name": "Tamper", "price_cents": 1990 });
    let product = shop.post("/products", product).await;
    assert_eq!(product.status, 201);
    let path = format!("/products/{}", product.body["product_id"]);
    assert_eq!(shop.get(&path).await.body, product.body);

    // Ids in quotes, as clients send them that keep ids as text.
    let items = json!([{ "product_id": product.body["product_id"].to_string(), "quantity": 1 }]);
    let created = json!({ "user_id": id, "items": items });
    let created = shop.post("/orders", created).await;
    assert_eq!(created.status, 201, "{}", created.body);

    let payment = json!({ "order_id": 17, "amount_cents": 100 });
    let payment = shop.post("/payments", payment).await;
    assert_eq!(payment.status, 200);
    assert_eq!(payment.body["message"], "Payment processed");
    let path = format!("/payments/{}", payment.body["payment_id"].as_str().unwrap());
    assert_eq!(shop.get(&path).await.body["order_id"], "17");

    let note = json!({ "message": "Hello", "user_id": id });
    let note = shop.post("/notifications", note).await;
    assert_eq!(note.status, 200);
    assert_eq!(note.body["message"], "Notification sent");
}

#[tokio::test]
async fn too_little_stock_changes_nothing_but_the_orders_status() {
    let shop = Shop::open().await;
    let body = json!({ "units": 3 });
    shop.call("PUT", "/inventory/2", Some(body)).await;
    let body = json!({ "user_id": 1, "items": [
        { "product_id": 1, "quantity": 1 },
        { "product_id": 2, "quantity": 4 },
    ]});
    let refused = shop.post("/orders", body).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.body["code"], "insufficient_stock");
    assert_eq!((shop.units(1).await, shop.units(2).await), (1_000_000, 3));
    assert_eq!(shop.get("/payments").await.body, json!([]));
    let orders = shop.get("/orders?user_id=1").await.body;
    assert_eq!(orders[0]["status"], "failed");
    assert_eq!(orders[0]["reason"], "insufficient_stock");
}

#[tokio::test]
async fn a_declined_payment_puts_the_units_back() {
    let shop = Shop::open().await;
    let refused = shop.post("/orders", order(12, 1_000)).await;
    assert_eq!(refused.status, 402);
    assert_eq!(refused.body["code"], "payment_declined");
    assert_eq!(shop.units(12).await, 1_000_000);
    assert_eq!(shop.get("/payments").await.body, json!([]));
    assert_eq!(shop.get("/notifications").await.body, json!([]));
}

#[tokio::test]
async fn a_caller_who_hangs_up_still_gets_the_order() {
    let shop = Shop::open().await;
    let body = order(5, 1).to_string();
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    // Once the order is written down, nobody waits for it any more.
    shop.until("/orders", |list| list[0].is_object()).await;
    drop(stream);
    shop.until("/orders", |list| list[0]["status"] == "confirmed")
        .await;
}

#[tokio::test]
async fn a_product_that_inventory_does_not_hear_of_is_not_added() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    shop.break_it("inventory", Some(Method::PUT), Fault::Down);
    let product = json!({ "name": "Tamper", "price_cents": 1990 });
    let refused = shop.post("/products", product).await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("inventory")
    );
    assert_eq!(shop.everything().await, before);
}
