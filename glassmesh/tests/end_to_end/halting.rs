//! Chaos in a whole mesh whose parts stop, die and come back: what is shown is what is in
//! force, and it can always be halted.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    ONE_AT_A_TIME,
    mesh::{Mesh, eventually},
};

const RULE: &str = "dead-payments";

fn dead_payments(mesh: &Mesh) {
    mesh.cli(&["chaos", "add", "orders -> payments", "--abort", "503"])
        .args(["--position", "request", "--id", RULE])
        .json();
}

/// The one rule, and who is halted, as the console tells.
async fn state(mesh: &Mesh) -> Option<(Value, Value)> {
    let state = mesh.console("/api/mesh/chaos").await.ok()?;
    let rules = state["rules"].as_array()?;
    let rule = rules.iter().find(|one| one["rule"]["id"] == RULE)?;
    Some((rule.clone(), state["halted"].clone()))
}

/// Waits until the console has heard of so many struck requests.
async fn struck(mesh: &Mesh, least: u64) -> u64 {
    eventually("a receipt", async || {
        let (rule, _) = state(mesh).await?;
        let receipt = &rule["receipt"];
        let struck = receipt["struck"].as_u64()?;
        (struck >= least && receipt["sidecars"] == 1).then_some(struck)
    })
    .await
}

#[tokio::test]
async fn chaos_outlives_the_processes_that_it_is_told_to_and_is_counted_on() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    dead_payments(&mesh);
    assert!(mesh.place(&order).await.is_err());
    let before = struck(&mesh, 1).await;
    let ends = state(&mesh).await.unwrap().0["rule"]["expires_at_ms"].clone();
    for victim in ["console", "orders-1/sidecar"] {
        mesh.kill(victim);
        mesh.until_said(&format!("{victim} is back")).await;
        eventually("the rule is in force again", async || {
            let (rule, _) = state(&mesh).await?;
            assert_eq!(rule["rule"]["expires_at_ms"], ends, "with its time");
            (rule["receipt"]["sidecars"] == 1).then_some(())
        })
        .await;
        assert!(mesh.place(&order).await.is_err(), "after {victim}");
        let now = struck(&mesh, before + 1).await;
        assert!(now > before, "totals go on after {victim}");
    }
    mesh.interrupt().await;
}

#[tokio::test]
async fn a_signal_halts_a_mesh_whose_console_does_not_answer() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    dead_payments(&mesh);
    assert!(mesh.place(&order).await.is_err());
    mesh.signal("console", Signal::STOP);
    mesh.signal_supervisor(Signal::USR1);
    mesh.until_said("chaos is halted by a signal").await;
    eventually("an order", async || mesh.place(&order).await.ok()).await;
    assert_console_follows(&mesh).await;
    mesh.place(&order).await.unwrap();

    // The command does the same by itself when the console is there and says nothing.
    mesh.cli(&["chaos", "on", RULE]).json();
    assert!(mesh.place(&order).await.is_err());
    mesh.signal("console", Signal::STOP);
    let halted = mesh.cli(&["chaos", "halt"]).json();
    assert_eq!(halted["by"], "signal", "{halted}");
    eventually("an order", async || mesh.place(&order).await.ok()).await;
    assert_console_follows(&mesh).await;
    mesh.interrupt().await;
}

/// The console goes on, and turns the rule off as it was told meanwhile.
async fn assert_console_follows(mesh: &Mesh) {
    mesh.signal("console", Signal::CONT);
    eventually("the console halted, too", async || {
        let (rule, halted) = state(mesh).await?;
        (rule["rule"]["enabled"] == false && halted == json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_sidecar_that_is_halted_shows_until_the_next_change() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    let order = mesh.order().await;
    dead_payments(&mesh);
    mesh.signal("orders-1/sidecar", Signal::USR1);
    eventually("it shows", async || {
        let (rule, halted) = state(&mesh).await?;
        let shown = halted == json!(["orders-1"]) && rule["receipt"]["sidecars"] == 0;
        shown.then_some(())
    })
    .await;
    mesh.place(&order).await.unwrap();
    mesh.cli(&["chaos", "on", RULE]).json();
    eventually("it is in force again", async || {
        let (_, halted) = state(&mesh).await?;
        (halted == json!([])).then_some(())
    })
    .await;
    assert!(mesh.place(&order).await.is_err());
    mesh.interrupt().await;
}
