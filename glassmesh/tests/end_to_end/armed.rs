//! Rules for one request alone, from the edge of the mesh down to the last call.

use http::StatusCode;
use serde_json::Value;

use crate::{
    ONE_AT_A_TIME,
    mesh::{Mesh, eventually},
};

const RULE: &str = "for-me-alone";

/// The built-in mesh.
const SHOP: &str = include_str!("../../../mesh.yaml");

/// What a tester sends beside what others put into baggage.
const BAGGAGE: (&str, &str) = ("baggage", "tenant=7,mesh.chaos=other:for-me-alone");

/// A rule two calls away from the edge.
fn arm(mesh: &Mesh) {
    let place = ["chaos", "add", "orders -> payments", "--abort", "503"];
    mesh.cli(&place)
        .args(["--position", "request", "--armed", "--id", RULE])
        .json();
}

/// What the rule met, once the console has heard of so many requests that passed it by.
async fn receipt(mesh: &Mesh, passed: u64) -> Value {
    eventually("a receipt", async || {
        let state = mesh.console("/api/mesh/chaos").await.ok()?;
        let rules = state["rules"].as_array()?;
        let rule = rules.iter().find(|one| one["rule"]["id"] == RULE)?;
        let met = &rule["receipt"];
        let others = met["seen"].as_u64()? - met["matched"].as_u64()?;
        (others >= passed).then(|| met.clone())
    })
    .await
}

#[tokio::test]
async fn a_testers_baggage_arms_a_rule_deep_inside_and_nobody_elses_request_is_struck() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    arm(&mesh);
    mesh.place(&order).await.expect("nobody asked for the rule");
    let met = receipt(&mesh, 1).await;
    assert_eq!(met["struck"], 0, "{met}");
    let nothing = met["nothing"].as_str().unwrap();
    let how = format!("baggage mesh.chaos={RULE}");
    assert!(nothing.contains(&how), "{nothing}");

    let struck = mesh.place_with(&order, BAGGAGE).await;
    assert!(struck.is_server_error(), "{struck}");
    mesh.place(&order).await.expect("the next one is another's");
    // What orders does to undo the charge belongs to the request, and is struck, too.
    let met = receipt(&mesh, 2).await;
    let count = |what: &str| met[what].as_u64().unwrap();
    assert!(count("struck") >= 1, "{met}");
    assert_eq!(count("struck"), count("matched"), "{met}");
    mesh.interrupt().await;
}

#[tokio::test]
async fn a_strangers_baggage_arms_nothing() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let testers = r#"testers: { networks: [127.0.0.0/8, "::1/128"] }"#;
    assert!(
        SHOP.contains(testers),
        "who may arm rules in the built-in mesh"
    );
    let mut mesh = Mesh::start_of(&SHOP.replace(testers, "testers: {}")).await;
    let order = mesh.order().await;
    arm(&mesh);
    let answer = mesh.place_with(&order, BAGGAGE).await;
    assert_eq!(answer, StatusCode::CREATED);
    let met = receipt(&mesh, 1).await;
    assert_eq!(met["struck"], 0, "{met}");
    mesh.interrupt().await;
}
