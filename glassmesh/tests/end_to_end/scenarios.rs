//! Scenarios on a whole mesh: what they change, who holds it, what is left of it.

use serde_json::{Value, json};

use crate::{
    ONE_AT_A_TIME,
    mesh::{Mesh, eventually},
    trace,
};

const STORM: &str = "retry-storm-without-budget";

fn scenario(mesh: &Mesh, action: &str, id: &str) -> Value {
    mesh.cli(&["chaos", "scenario", action, id]).json()["scenario"].clone()
}

/// What the console lists, without what time alone changes.
async fn listed(mesh: &Mesh, list: &str) -> Vec<Value> {
    let answer = mesh.console(&format!("/api/mesh/{list}")).await.unwrap();
    let entries = match list {
        "chaos" => answer["rules"].as_array(),
        _ => answer.as_array(),
    };
    entries.unwrap().clone()
}

/// The scenario's policy is in force, with the rule.
async fn assert_storm(mesh: &Mesh, order: &Value) {
    let policy = mesh.policy("orders-1").await;
    let routes = policy["routes"].as_array().unwrap();
    let route = routes.iter().find(|one| one["cluster"] == "inventory");
    assert_eq!(route.unwrap()["retry"]["attempts"], 5);
    let budget = &policy["clusters"]["inventory"]["budget"];
    assert_eq!(*budget, json!({ "share": 100.0, "floor": 1000.0 }));
    let struck = "mesh_faults_injected_total{rule=\"dead-inventory\"";
    let before = mesh.sum("inventory-1", struck).await;
    assert!(mesh.place(order).await.is_err(), "inventory is dead");
    let after = mesh.sum("inventory-1", struck).await;
    assert!(after - before >= 5.0, "five attempts: {before} to {after}");
}

#[tokio::test]
async fn a_scenario_changes_policies_outlives_the_console_and_leaves_nothing_behind() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    let before = mesh.policy("orders-1").await;

    let started = scenario(&mesh, "start", STORM);
    assert_eq!(started["running"], json!(true), "{started}");
    assert_storm(&mesh, &order).await;
    mesh.kill("console");
    mesh.until_said("console is back").await;
    eventually("all sidecars at the new console", async || {
        let state = mesh.console("/api/mesh/chaos").await.ok()?;
        (state["sidecars"] == 9 && state["acknowledged"] == 9).then_some(())
    })
    .await;
    assert_storm(&mesh, &order).await;
    let stopped = scenario(&mesh, "stop", STORM);
    assert_eq!(stopped["running"], json!(false), "{stopped}");
    assert_eq!(mesh.policy("orders-1").await, before);
    mesh.place(&order).await.expect("all is as it was");

    scenario(&mesh, "start", STORM);
    assert_storm(&mesh, &order).await;
    mesh.cli(&["chaos", "halt"]).json();
    assert_eq!(mesh.policy("orders-1").await, before);
    mesh.place(&order).await.expect("halted");
    for one in listed(&mesh, "scenarios").await {
        assert_eq!(one["running"], json!(false), "{one}");
    }
    mesh.interrupt().await;
}

#[tokio::test]
async fn a_mystery_stands_in_no_list_before_it_is_revealed() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let rules = listed(&mesh, "chaos").await;
    let menu = listed(&mesh, "scenarios").await;
    let told = listed(&mesh, "activity").await.len();
    mesh.cli(&["chaos", "scenario", "start", "mystery", "--seed", "7"])
        .json();
    let mut struck = 0;
    for instance in ["gateway-1", "orders-1", "products-1", "users-1"] {
        let policy = mesh.policy(instance).await;
        let rules = policy["chaos"].as_array().unwrap();
        struck += rules.iter().filter(|rule| rule["enabled"] == true).count();
    }
    assert!(struck > 0, "some fault is in force");

    assert_eq!(listed(&mesh, "chaos").await, rules);
    let mut shown = listed(&mesh, "scenarios").await;
    let running = shown.iter_mut().find(|one| one["running"] == true).unwrap();
    for (key, idle) in [
        ("running", json!(false)),
        ("left_ms", Value::Null),
        ("seed", Value::Null),
    ] {
        running[key] = idle;
    }
    assert_eq!(
        shown, menu,
        "it runs, with a seed and a time, and that is all"
    );
    let activity = listed(&mesh, "activity").await;
    let new: Vec<&str> = activity[..activity.len() - told]
        .iter()
        .filter(|entry| entry["kind"] == "chaos")
        .filter_map(|entry| entry["text"].as_str())
        .collect();
    assert_eq!(
        new,
        ["scenario `mystery` was started for 15m with seed 7; find out what it does"]
    );

    let revealed = scenario(&mesh, "reveal", "mystery");
    let answer = revealed["revealed"].as_str().unwrap();
    assert!(answer.starts_with("it was "), "{answer}");
    assert_eq!(listed(&mesh, "chaos").await, rules, "over");
    mesh.interrupt().await;
}

async fn orders(mesh: &Mesh) -> Vec<String> {
    let all = listed(mesh, "traces?limit=50").await;
    let orders = all
        .iter()
        .filter(|one| one["name"] == "inbound POST /orders");
    let ids = orders.filter_map(|one| one["trace_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Places an order; gives back the length of the query in it that finds the user.
async fn query(mesh: &Mesh, order: &Value, header: Option<(&str, &str)>) -> u64 {
    let known = orders(mesh).await;
    match header {
        Some(header) => assert!(mesh.place_with(order, header).await.is_success()),
        None => drop(mesh.place(order).await.unwrap()),
    }
    eventually("the query in the order's trace", async || {
        let all = orders(mesh).await;
        let id = all.iter().find(|id| !known.contains(id))?;
        let spans = mesh.cli(&["trace", id]).json();
        trace::length(&spans, "SELECT users")
    })
    .await
}

#[tokio::test]
async fn a_slow_database_is_slow_in_its_own_spans_and_at_no_strangers_wish() {
    const ASKED_US: u64 = 4_000_000;
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    let stranger = ("x-mesh-db-delay-ms", "4000");
    let fast = query(&mesh, &order, Some(stranger)).await;
    assert!(fast < ASKED_US, "the edge takes it away: {fast} us");
    scenario(&mesh, "start", "slow-database");
    let slow = query(&mesh, &order, None).await;
    assert!((300_000..ASKED_US).contains(&slow), "{slow} us");
    mesh.interrupt().await;
}
