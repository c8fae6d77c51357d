//! A fault from the command line to its end: added, seen, met again, gone.

use std::process::Output;

use serde_json::{Value, json};

use crate::{
    ONE_AT_A_TIME,
    mesh::{Mesh, eventually, glassmesh},
};

const RULE: &str = "half-the-reads";

#[tokio::test]
async fn a_fault_is_added_seen_met_again_and_removed() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut mesh = Mesh::start().await;
    // Half of all attempts: one order may meet it and be saved by a retry.
    let add = ["chaos", "add", "gateway -> products", "--abort", "503"];
    mesh.cli(&add)
        .args(["--percent", "50", "--seed", "7", "--id", RULE])
        .json();
    let trace = faulted(&mesh).await;

    let told = mesh.cli(&["chaos", "show", RULE]).text();
    for part in ["where: gateway -> products", "percent: 50", &trace] {
        assert!(told.contains(part), "no {part} in: {told}");
    }
    assert_replays(&mesh, &trace);
    assert_completes(&mesh);

    mesh.cli(&["chaos", "rm", RULE]).json();
    let list = mesh.cli(&["chaos", "list"]).text();
    assert!(!list.contains(RULE), "{list}");
    mesh.interrupt().await;
}

/// Reads until the rule has hit one; gives back its trace.
async fn faulted(mesh: &Mesh) -> String {
    eventually("a read that the rule hit", async || {
        let _ = mesh.products().await;
        let path = format!("/api/mesh/traces?rule={RULE}&limit=1");
        let newest = mesh.console(&path).await.ok()?;
        newest[0]["trace_id"].as_str().map(str::to_owned)
    })
    .await
}

/// The same rule hits the same attempts of a new trace, and no longer once it is off.
fn assert_replays(mesh: &Mesh, trace: &str) {
    let again = mesh.cli(&["chaos", "replay", trace]).json();
    assert_eq!(again["same"], json!(true), "{again:#}");
    assert_ne!(again["trace_id"], json!(trace));
    let faults = again["faults"].as_array().unwrap();
    assert!(!faults.is_empty(), "{again:#}");
    assert!(faults.iter().all(|one| one["rule"] == RULE), "{again:#}");

    mesh.cli(&["chaos", "off", RULE]).json();
    let output = mesh.cli(&["chaos", "replay", trace, "--json"]).output();
    assert_eq!(output.status.code(), Some(1), "another fate is a failure");
    let other: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(other["same"], json!(false));
    let reasons = other["reasons"].to_string();
    let advice = format!("glassmesh chaos on {RULE}");
    assert!(reasons.contains(&advice), "{reasons}");
}

/// Asks as the shell's script does.
fn completed(words: &[&str], console: Option<&str>) -> Output {
    let mut command = glassmesh();
    let index = words.len().to_string();
    command
        .env("GLASSMESH_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_IFS", "\n")
        .arg("--")
        .arg("glassmesh")
        .args(words.iter().take(words.len() - 1))
        .arg(words.last().unwrap());
    if let Some(console) = console {
        command.env("GLASSMESH_CONSOLE", console);
    }
    command.output().unwrap()
}

fn words(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

fn assert_completes(mesh: &Mesh) {
    let console = mesh.fact("console");
    let ask = |line: &[&str]| words(&completed(line, Some(console)));
    assert_eq!(ask(&["chaos", "on", "half"]), [RULE]);
    let places = ask(&["chaos", "add", "orders"]);
    for wanted in ["orders", "orders\\ -\\>\\ payments"] {
        assert!(places.iter().any(|place| place == wanted), "{places:?}");
    }
    assert_eq!(ask(&["chaos", "add", "payments-2"]), ["payments-2"]);
}

#[test]
fn without_a_console_nothing_is_completed_and_nothing_is_said() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    // One that does not answer, and one that is not there.
    for url in [&url, "http://127.0.0.1:1"] {
        let output = completed(&["chaos", "on", "f"], Some(url));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(words(&output), [""; 0], "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn completion_scripts_call_this_binary() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = glassmesh().args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("GLASSMESH_COMPLETE"), "{shell}: {script}");
        assert!(
            script.contains(env!("CARGO_BIN_EXE_glassmesh")),
            "{shell}: {script}"
        );
    }
}

#[test]
fn where_no_console_answers_halt_says_what_to_type() {
    let place = crate::mesh::place();
    let output = glassmesh()
        .current_dir(&place)
        .args(["chaos", "halt", "--console", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("kill -USR1 PID"), "{said}");
    std::fs::remove_dir_all(place).unwrap();
}
