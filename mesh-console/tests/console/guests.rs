//! Services that the mesh file does not list.

use http::StatusCode;
use serde_json::json;

use crate::support::{nowhere, read, registration, start, until};

#[tokio::test]
async fn a_guest_calls_every_service_and_is_called_by_name_until_it_goes() {
    let console = start().await;
    let mut front = console.subscribe("front-1", nowhere()).await;
    let before = front.snapshot().await;
    assert!(before["policy"]["clusters"]["guest"].is_null());

    let mut guest = console
        .subscribe_guest("guest-1", Some("0.0.0.0:7001"))
        .await;
    let own = guest.snapshot().await;
    let clusters = own["policy"]["clusters"].as_object().unwrap();
    assert!(clusters.contains_key("front") && clusters.contains_key("back"));
    let with = front.snapshot().await;
    assert_eq!(
        with["policy"]["clusters"]["guest"]["endpoints"],
        json!(["127.0.0.1:7001"]),
        "an unspecified address is where it called from"
    );
    assert!(with["revision"].as_u64() > before["revision"].as_u64());

    let (_, overview) = console.get("/api/mesh/overview").await;
    let services = overview["services"].as_array().unwrap();
    assert!(services.iter().any(|service| service["name"] == "guest"));
    let rule = json!({ "id": "slow-guest", "where": "front -> guest", "delay": "1s" });
    let (status, _) = console.post("/api/mesh/chaos", rule).await;
    assert_eq!(status, StatusCode::CREATED);
    front.snapshot().await;

    drop(guest);
    let without = front.snapshot().await;
    assert!(without["policy"]["clusters"]["guest"].is_null());
    console.stop().await;
}

#[tokio::test]
async fn a_further_instance_of_a_service_gets_its_share() {
    let console = start().await;
    let mut front = console.subscribe("front-1", nowhere()).await;
    front.snapshot().await;
    let _guest = console
        .subscribe_guest("back-guest", Some("127.0.0.1:7001"))
        .await;
    let with = front.snapshot().await;
    let endpoints = with["policy"]["clusters"]["back"]["endpoints"]
        .as_array()
        .unwrap();
    assert_eq!(endpoints.len(), 3);
    console.stop().await;
}

#[tokio::test]
async fn an_instance_of_the_file_is_no_guest_whatever_it_says() {
    let console = start().await;
    let mut front = console.subscribe("front-1", nowhere()).await;
    let before = front.snapshot().await["revision"].clone();
    let mut listed = console
        .subscribe_guest("back-1", Some("127.0.0.1:7001"))
        .await;
    listed.snapshot().await;
    until("it is there", || async {
        let (_, chaos) = console.get("/api/mesh/chaos").await;
        chaos["sidecars"] == 2 && chaos["revision"] == before
    })
    .await;
    console.stop().await;
}

#[tokio::test]
async fn a_name_that_cannot_be_called_is_refused() {
    let console = start().await;
    let mut body = registration("Not_A_Host", "guest-1", nowhere());
    body["guest"] = json!(true);
    let (status, answer) = read(console.control("/control/v1/subscribe", &body).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    console.stop().await;
}
