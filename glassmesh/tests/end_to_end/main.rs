//! The real mesh, started as people start it: every process of its own, real
//! sockets, databases, OTLP and metric pages.

#![allow(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod armed;
mod chaos;
mod halting;
#[path = "../../src/http_client.rs"]
#[expect(dead_code, reason = "answers that go on are read by the command alone")]
mod http_client;
mod mesh;
mod refusals;
mod run;
mod scenarios;
mod shop;
mod trace;

use mesh::{Mesh, eventually};
use serde_json::{Value, json};
use trace::Retried;

const RULE: &str = "flaky-edge";

/// Meshes are heavy: one at a time, so that waiting times mean something.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_fault_is_retried_seen_in_the_trace_and_counted() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    mesh.place(&order)
        .await
        .expect("no fault is on: the order succeeds");

    let receipt = mesh
        .cli(&["chaos", "add", "orders -> payments", "--abort", "503"])
        .args(["--percent", "50", "--id", RULE])
        .json();
    assert_eq!(receipt["receipt"]["sidecars"], json!(9), "{receipt}");
    assert_eq!(receipt["receipt"]["acknowledged"], json!(9), "{receipt}");

    let id = mesh.retried_order(&order, RULE).await;
    eventually("all spans of the order", async || {
        let trace = mesh.cli(&["trace", &id]).json();
        Retried::find(&trace, RULE).map(|order| order.assert(RULE))
    })
    .await;
    let drawn = mesh.cli(&["trace", &id[..12]]).text();
    assert!(drawn.contains(&format!("rule {RULE}: abort")), "{drawn}");
    assert!(drawn.contains("↻ retry 1"), "{drawn}");

    assert_counted_and_halted(&mesh, &order).await;
    mesh.interrupt().await;
}

/// The orders' sidecar counts the faults of the rule, until all rules are off.
async fn assert_counted_and_halted(mesh: &Mesh, order: &Value) {
    let injected = format!("mesh_faults_injected_total{{rule=\"{RULE}\"");
    assert!(mesh.sum("orders-1", &injected).await >= 1.0);
    assert!(mesh.sum("orders-1", "mesh_retries_total").await >= 1.0);

    mesh.cli(&["chaos", "halt"]).json();
    let before = mesh.sum("orders-1", &injected).await;
    for _ in 0..10 {
        mesh.place(order).await.expect("all faults are off");
    }
    let after = mesh.sum("orders-1", &injected).await;
    assert!(
        (after - before).abs() < f64::EPSILON,
        "halt did not stop the rule"
    );
}

#[tokio::test]
async fn killed_processes_come_back_and_the_shop_serves_again() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    for victim in ["payments-1/sidecar", "orders-1", "console"] {
        mesh.kill(victim);
        mesh.until_said(&format!("{victim} was killed by signal 9"))
            .await;
        mesh.until_said(&format!("{victim} is back")).await;
        eventually(&format!("an order after {victim} was killed"), async || {
            mesh.place(&order).await.ok()
        })
        .await;
    }
    eventually("all sidecars at the new console", async || {
        let state = mesh.console("/api/mesh/chaos").await.ok()?;
        (state["sidecars"] == json!(9) && state["acknowledged"] == json!(9)).then_some(())
    })
    .await;
    mesh.interrupt().await;
}

#[tokio::test]
async fn nothing_is_left_when_the_supervisor_is_killed() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    mesh.kill_supervisor();
    eventually("the end of all children", async || {
        mesh.processes().is_empty().then_some(())
    })
    .await;
    mesh.assert_ports_are_free();
}
