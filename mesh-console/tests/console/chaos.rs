//! The chaos API, and what outlives a restart.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Folder, config, nowhere, start, start_with};

#[tokio::test]
async fn rules_are_made_turned_replaced_and_removed() {
    let console = start().await;
    let rule = json!({ "id": "slow", "where": "front -> back", "percent": 50.0, "delay": "400ms", "for": "1m" });
    let (status, made) = console.post("/api/mesh/chaos", rule).await;
    assert_eq!(status, StatusCode::CREATED);
    let left = made["expires_in_ms"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&left), "{made}");
    let path = "/api/mesh/chaos/slow";
    let (status, off) = console
        .write(Method::PATCH, path, json!({ "enabled": false }))
        .await;
    assert_eq!(
        (status, &off["rule"]["enabled"]),
        (StatusCode::OK, &json!(false))
    );
    assert_eq!(off["expires_in_ms"], json!(null));
    let other = json!({ "id": "slow", "where": "back", "abort": 500 });
    let (_, replaced) = console.post("/api/mesh/chaos", other).await;
    assert_eq!(replaced["rule"]["where"], "back");
    let (status, halted) = console.post("/api/mesh/chaos/halt", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let on = halted["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|state| state["rule"]["enabled"] == true);
    assert_eq!(on.count(), 0);
    let (status, _) = console.write(Method::DELETE, path, json!({})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, gone) = console.write(Method::DELETE, path, json!({})).await;
    assert_eq!(
        (status, &gone["code"]),
        (StatusCode::NOT_FOUND, &json!("unknown_rule"))
    );
    console.stop().await;
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_refused_by_its_key() {
    let console = start().await;
    let header = json!({ "name": "x-user", "exact": 7 });
    for (rule, key, part) in [
        (
            json!({ "id": "x", "where": "back", "delay": "normal:1s" }),
            "delay",
            "standard deviation is missing",
        ),
        (
            json!({ "id": "x", "where": "back", "match": { "headers": [header] } }),
            "match.headers[0].exact",
            "expected a string",
        ),
    ] {
        let (status, answer) = console.post("/api/mesh/chaos", rule).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let problem = &answer["problems"][0];
        let message = problem["message"].as_str().unwrap();
        assert_eq!(problem["key"], key);
        assert!(
            message.contains(part) && !message.contains("column"),
            "{answer}"
        );
    }
    console.stop().await;
}

#[tokio::test]
async fn a_bad_rule_is_refused_with_every_problem() {
    let console = start().await;
    let rule = json!({ "id": "x", "where": "bakc", "percent": 150.0, "abort": 200 });
    let (status, answer) = console.post("/api/mesh/chaos", rule).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad_rule"))
    );
    let keys: Vec<&str> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["key"].as_str().unwrap())
        .collect();
    for key in ["where", "percent", "abort"] {
        assert!(keys.contains(&key), "{answer}");
    }
    let (status, _) = console
        .post("/api/mesh/chaos", json!({ "id": "x", "wheer": "back" }))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    console.stop().await;
}

#[tokio::test]
async fn a_rule_that_expires_is_taken_back_from_the_sidecars() {
    let console = start().await;
    let mut lines = console.subscribe("front-1", nowhere()).await;
    lines.snapshot().await;
    let rule = json!({ "id": "short", "where": "back", "abort": 503, "for": "50ms" });
    console.post("/api/mesh/chaos", rule).await;
    assert_eq!(
        lines.snapshot().await["policy"]["chaos"][1]["enabled"],
        true
    );
    assert_eq!(
        lines.snapshot().await["policy"]["chaos"][1]["enabled"],
        false
    );
    console.stop().await;
}

#[tokio::test]
async fn a_toggle_reaches_every_sidecar_within_the_promised_time() {
    let console = start().await;
    let mut streams = Vec::new();
    for instance in ["front-1", "back-1", "back-2", "back-3", "back-4"] {
        let mut lines = console.subscribe(instance, nowhere()).await;
        lines.snapshot().await;
        streams.push(lines);
    }
    let began = Instant::now();
    console
        .write(
            Method::PATCH,
            "/api/mesh/chaos/waiting",
            json!({ "enabled": true }),
        )
        .await;
    for lines in &mut streams {
        assert_eq!(
            lines.snapshot().await["policy"]["chaos"][0]["enabled"],
            true
        );
    }
    assert!(
        began.elapsed() < Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
    console.stop().await;
}

#[tokio::test]
async fn what_is_shown_after_a_restart_is_what_is_in_force() {
    let folder = Folder::new();
    let mut settings = config();
    settings.data_dir = Some(folder.0.clone());
    let console = start_with(settings.clone()).await;
    let (_, before) = console
        .write(
            Method::PATCH,
            "/api/mesh/chaos/waiting",
            json!({ "enabled": true }),
        )
        .await;
    console.stop().await;
    let console = start_with(settings).await;
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(
        chaos["rules"][0]["rule"], before["rule"],
        "with the same end"
    );
    let mut lines = console.subscribe("front-1", nowhere()).await;
    assert_eq!(lines.snapshot().await["policy"]["chaos"][0], before["rule"]);
    console.stop().await;
}

#[tokio::test]
async fn the_live_feed_tells_how_things_are_and_what_changes() {
    let console = start().await;
    let mut events = console.events().await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(events.event().await.0);
    }
    first.sort_unstable();
    assert_eq!(first, ["chaos", "overview", "scenarios"]);
    console
        .write(
            Method::PATCH,
            "/api/mesh/chaos/waiting",
            json!({ "enabled": true }),
        )
        .await;
    let (mut on, mut said) = (false, false);
    while !(on && said) {
        let (name, data) = events.event().await;
        on |= name == "chaos" && data["rules"][0]["rule"]["enabled"] == true;
        said |= name == "activity" && data["text"].as_str().unwrap().contains("`waiting` is on");
    }
    console.stop().await;
}
