//! Sidecars: subscribe, acknowledge, come and go.

use http::StatusCode;
use serde_json::json;

use crate::support::{MESH, nowhere, read, registration, start, until};

#[tokio::test]
async fn a_sidecar_hears_its_policy_at_once_and_every_change() {
    let console = start().await;
    let mut lines = console.subscribe("front-1", nowhere()).await;
    let first = lines.snapshot().await;
    let revision = first["revision"].as_u64().unwrap();
    assert_eq!(first["policy"]["routes"][0]["name"], "back");
    assert_eq!(
        first["policy"]["clusters"]["back"]["endpoints"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(first["policy"]["inbound"]["edge"], true);
    let (status, _) = console.post("/api/mesh/chaos/halt", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    console
        .post(
            "/api/mesh/chaos",
            json!({ "id": "new", "where": "front -> back", "delay": "1s" }),
        )
        .await;
    let second = lines.snapshot().await;
    assert_eq!(
        second["revision"],
        revision + 1,
        "a halt without chaos changed nothing"
    );
    assert_eq!(second["policy"]["chaos"][1]["id"], "new");
    console.stop().await;
    assert_eq!(lines.next().await, None, "the stream ends with the console");
}

#[tokio::test]
async fn acknowledgements_and_refusals_show() {
    let console = start().await;
    let mut lines = console.subscribe("back-2", nowhere()).await;
    let revision = lines.snapshot().await["revision"].as_u64().unwrap();
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(
        (&chaos["sidecars"], &chaos["acknowledged"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        console.acknowledge("back-2", revision, json!([])).await,
        StatusCode::OK
    );
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(chaos["acknowledged"], 1);
    let problem = json!([{ "key": "routes[0]", "message": "no" }]);
    console.acknowledge("back-2", revision + 1, problem).await;
    let (_, overview) = console.get("/api/mesh/overview").await;
    let back = &overview["services"][1];
    assert_eq!(back["name"], "back");
    assert_eq!(back["instances"][1]["connected"], true);
    assert_eq!(back["instances"][1]["revision"], revision);
    assert_eq!(back["instances"][1]["problems"][0]["key"], "routes[0]");
    let (_, activity) = console.get("/api/mesh/activity").await;
    assert!(
        activity[0]["text"]
            .as_str()
            .unwrap()
            .contains("refused revision")
    );
    console.stop().await;
}

#[tokio::test]
async fn a_sidecar_that_goes_shows() {
    let console = start().await;
    let mut lines = console.subscribe("back-1", nowhere()).await;
    lines.snapshot().await;
    drop(lines);
    until("the disconnect", || async {
        let (_, overview) = console.get("/api/mesh/overview").await;
        overview["services"][1]["instances"][0]["connected"] == false
    })
    .await;
    let status = console.acknowledge("back-1", 1, json!([])).await;
    assert_eq!(status, StatusCode::CONFLICT, "it holds no stream");
    console.stop().await;
}

#[tokio::test]
async fn a_restarted_sidecar_takes_the_place_of_its_old_connection() {
    let console = start().await;
    let mut old = console.subscribe("back-1", nowhere()).await;
    old.snapshot().await;
    let mut new = console.subscribe("back-1", nowhere()).await;
    new.snapshot().await;
    assert_eq!(old.next().await, None);
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(chaos["sidecars"], 1);
    console.stop().await;
}

#[tokio::test]
async fn strangers_are_told_which_services_there_are() {
    let console = start().await;
    let body = registration("nobody", "nobody-1", nowhere());
    let (status, answer) = read(console.control("/control/v1/subscribe", &body).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(answer["code"], "unknown_service");
    assert!(
        answer["message"].as_str().unwrap().contains("back, front"),
        "{MESH}"
    );
    console.stop().await;
}
