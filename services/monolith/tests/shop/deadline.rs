//! What is left of a caller's time goes along with the calls that answer it, and with
//! nothing else.

use axum::body::Body;
use http::Method;

use crate::support::{Answer, Fault, Shop, order};

const GIVEN: u64 = 30_000;

/// Places an order within this time.
async fn order_in_time(shop: &Shop) -> Answer {
    let given = GIVEN.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-mesh-deadline-ms", given.as_str()),
    ];
    let body = Body::from(order(4, 7).to_string());
    shop.send("POST", "/orders", &headers, body).await
}

#[tokio::test]
async fn callers_time_shrinks_hop_by_hop() {
    let shop = Shop::open().await;
    assert_eq!(order_in_time(&shop).await.status, 201);
    let mut left = GIVEN;
    for (service, method) in [
        ("orders", Method::POST),
        ("users", Method::GET),
        ("inventory", Method::PUT),
        ("payments", Method::POST),
    ] {
        let given = shop.times_given(service, &method);
        let [Some(given)] = given[..] else {
            panic!("{service}: {given:?}")
        };
        assert!(given > 0 && given <= left, "{service}: {given} of {left}");
        left = given;
    }
    shop.until("/notifications", |list| list[0].is_object())
        .await;
    let news = shop.times_given("notifications", &Method::POST);
    assert_eq!(news, [None], "the outbox has all the time there is");
}

#[tokio::test]
async fn what_is_undone_has_time_of_its_own() {
    let shop = Shop::open().await;
    shop.break_it("payments", Some(Method::POST), Fault::AnswerLost);
    assert_eq!(order_in_time(&shop).await.status, 503);
    let refund = shop.times_given("payments", &Method::PUT);
    let release = shop.times_given("inventory", &Method::DELETE);
    assert_eq!((refund, release), (vec![None], vec![None]));
}

#[tokio::test]
async fn without_a_caller_in_a_hurry_there_is_no_deadline() {
    let shop = Shop::open().await;
    assert_eq!(shop.post("/orders", order(4, 7)).await.status, 201);
    assert_eq!(shop.times_given("payments", &Method::POST), [None]);
}
