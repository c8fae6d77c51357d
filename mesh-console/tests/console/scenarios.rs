//! Scenarios: what they put in force, that a stop undoes it exactly, and that nobody
//! hears what a mystery does.

use http::{Method, StatusCode};
use mesh_console::{ConsoleConfig, mesh_file::MeshFile};
use serde_json::{Value, json};

use crate::support::{Folder, Lines, Running, config, nowhere, start_with, until};

const MESH: &str = "mesh: test
ports: { console: 0, otlp_grpc: 0, otlp_http: 0, internal: 0 }
services: { front: { expose: 0, calls: [back] }, back: { instances: 2 } }
defaults: { deadline: 2s }
chaos: [ { id: waiting, where: back, abort: 503, enabled: false } ]
scenarios:
  - id: storm
    title: A storm
    story: It rains.
    look_for: [Drops.]
    for: 5m
    rules:
      - waiting
      - { id: slow, where: front -> back, delay: 300ms, percent: 40 }
    routes:
      - { from: front, to: back, policy: { deadline: 700ms, budget: { share: 5, floor: 0 } } }
  - id: riddle
    title: A riddle
    story: Something is wrong.
    look_for: [What?]
    mystery:
      - { rule: { id: a, where: back, abort: 500 }, percent: { from: 20, to: 80 } }
      - { rule: { id: b, where: front -> back, hang: true } }
      - { rule: { id: c, where: back }, delay: { from: 100ms, to: 900ms } }
";

fn storms() -> ConsoleConfig {
    let mesh = MeshFile::parse(MESH).unwrap();
    assert_eq!(mesh.check(), []);
    ConsoleConfig {
        mesh: ConsoleConfig::from_mesh(&mesh).unwrap().mesh,
        ..config()
    }
}

async fn begin(console: &Running, id: &str, body: Value) -> Value {
    let path = format!("/api/mesh/scenarios/{id}");
    let (status, state) = console.post(&path, body).await;
    assert_eq!(status, StatusCode::OK, "{state}");
    state
}

async fn stop(console: &Running, id: &str) -> Value {
    let path = format!("/api/mesh/scenarios/{id}");
    let (status, state) = console.write(Method::DELETE, &path, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{state}");
    state
}

/// What sidecars of front are told, as a sidecar that starts now.
async fn policy(console: &Running) -> Value {
    let mut lines: Lines = console.subscribe("front-1", nowhere()).await;
    lines.snapshot().await["policy"].clone()
}

async fn rules(console: &Running) -> Value {
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    chaos["rules"].clone()
}

async fn running(console: &Running) -> Vec<String> {
    let (_, scenarios) = console.get("/api/mesh/scenarios").await;
    let all = scenarios.as_array().unwrap().iter();
    all.filter(|one| one["running"] == true)
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_scenario_reaches_the_sidecars_and_its_stop_undoes_it_exactly() {
    let console = start_with(storms()).await;
    let (before, shown) = (policy(&console).await, rules(&console).await);
    let mut events = console.events().await;
    let state = begin(&console, "storm", json!({ "seed": 7, "for": "1m" })).await;
    assert_eq!(
        (&state["running"], &state["seed"]),
        (&json!(true), &json!(7))
    );
    assert_eq!(state["rules"], json!(["waiting", "slow"]));
    assert_eq!(state["changes"], json!(["front -> back"]));
    let left = state["left_ms"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");

    let during = policy(&console).await;
    assert_eq!(during["routes"][0]["deadline"], "700ms");
    assert_eq!(during["clusters"]["back"]["budget"]["share"], 5.0);
    for (index, id) in ["waiting", "slow"].into_iter().enumerate() {
        let rule = &during["chaos"][index];
        assert_eq!(
            (&rule["id"], &rule["enabled"], &rule["seed"], &rule["for"]),
            (&json!(id), &json!(true), &json!(7), &json!("1m"))
        );
        assert_eq!(rules(&console).await[index]["scenario"], "storm");
    }
    loop {
        let (name, data) = events.event().await;
        if name == "scenarios" && data[0]["running"] == true {
            break;
        }
    }

    assert_eq!(stop(&console, "storm").await["running"], false);
    assert_eq!(policy(&console).await, before);
    assert_eq!(rules(&console).await, shown);
    stop(&console, "storm").await;
    console.stop().await;
}

#[tokio::test]
async fn a_rule_that_was_replaced_meanwhile_is_nobodys_but_its_makers() {
    let console = start_with(storms()).await;
    begin(&console, "storm", json!({})).await;
    let mine = json!({ "id": "slow", "where": "back", "abort": 500 });
    console.post("/api/mesh/chaos", mine).await;
    let path = "/api/mesh/chaos/waiting";
    console.write(Method::DELETE, path, json!({})).await;
    stop(&console, "storm").await;
    let left = rules(&console).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["rule"]["abort"], 500);
    assert_eq!(left[0]["rule"]["enabled"], true);
    console.stop().await;
}

#[tokio::test]
async fn one_runs_at_a_time_and_unknown_ones_are_answered_with_the_known() {
    let console = start_with(storms()).await;
    begin(&console, "storm", json!({})).await;
    let (status, error) = console.post("/api/mesh/scenarios/riddle", json!({})).await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::CONFLICT, &json!("scenario_runs"))
    );
    let (status, error) = console.post("/api/mesh/scenarios/none", json!({})).await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::NOT_FOUND, &json!("unknown_scenario"))
    );
    assert!(error["message"].as_str().unwrap().contains("storm, riddle"));
    let path = "/api/mesh/scenarios/storm/reveal";
    let (status, error) = console.post(path, json!({})).await;
    assert_eq!(
        (status, &error["code"]),
        (StatusCode::CONFLICT, &json!("nothing_to_reveal"))
    );
    let long = json!({ "for": "2days" });
    let (status, _) = console.post("/api/mesh/scenarios/storm", long).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    console.stop().await;
}

#[tokio::test]
async fn halt_ends_a_scenario_with_all_that_it_changed() {
    let console = start_with(storms()).await;
    let before = policy(&console).await;
    begin(&console, "storm", json!({})).await;
    console.post("/api/mesh/chaos/halt", json!({})).await;
    assert_eq!(running(&console).await, [] as [&str; 0]);
    assert_eq!(policy(&console).await, before);
    let (_, activity) = console.get("/api/mesh/activity").await;
    let text = activity.to_string();
    assert!(
        text.contains("all chaos was halted: `waiting`, `slow` turned off, scenario `storm` ended"),
        "{text}"
    );
    console.stop().await;
}

#[tokio::test]
async fn a_scenario_that_is_over_is_undone() {
    let console = start_with(storms()).await;
    let before = policy(&console).await;
    begin(&console, "storm", json!({ "for": "300ms" })).await;
    until("the end", async || running(&console).await.is_empty()).await;
    assert_eq!(policy(&console).await, before);
    console.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_keeps_what_is_in_force_and_what_there_was_before() {
    let folder = Folder::new();
    let mut settings = storms();
    settings.data_dir = Some(folder.0.clone());
    let console = start_with(settings.clone()).await;
    let before = policy(&console).await;
    begin(&console, "storm", json!({ "seed": 3 })).await;
    let during = policy(&console).await;
    console.stop().await;

    let console = start_with(settings.clone()).await;
    assert_eq!(running(&console).await, ["storm"]);
    assert_eq!(policy(&console).await, during);
    console.stop().await;

    let text = MESH.replace("deadline: 700ms", "deadline: 800ms");
    let edited = ConsoleConfig::from_mesh(&MeshFile::parse(&text).unwrap()).unwrap();
    let edited = ConsoleConfig {
        mesh: edited.mesh,
        ..settings.clone()
    };
    let console = start_with(edited).await;
    assert_eq!(running(&console).await, [] as [&str; 0]);
    assert_eq!(policy(&console).await["chaos"], before["chaos"]);
    console.stop().await;
}

/// Everything that the API says at this moment.
async fn said(console: &Running) -> String {
    let mut all = String::new();
    for path in ["chaos", "scenarios", "activity", "overview"] {
        let (_, answer) = console.get(&format!("/api/mesh/{path}")).await;
        all += &answer.to_string();
    }
    all
}

#[tokio::test]
async fn a_mystery_is_told_to_sidecars_alone_until_it_is_revealed() {
    let console = start_with(storms()).await;
    let state = begin(&console, "riddle", json!({ "seed": 4 })).await;
    assert_eq!(state["rules"], json!([]));
    let chaos = policy(&console).await["chaos"].clone();
    let hidden = &chaos[1];
    assert_eq!(hidden["id"], "riddle");
    assert_eq!(rules(&console).await.as_array().unwrap().len(), 1);
    for secret in ["\"hang\"", "\"percent\"", "no answer at all"] {
        let all = said(&console)
            .await
            .replace(&rules(&console).await.to_string(), "");
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let path = "/api/mesh/chaos/riddle";
    let off = json!({ "enabled": false });
    let (status, error) = console.write(Method::PATCH, path, off).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        !error["message"]
            .as_str()
            .unwrap()
            .contains("waiting, riddle")
    );
    let mine = json!({ "id": "riddle", "where": "back", "abort": 500 });
    let (status, _) = console.post("/api/mesh/chaos", mine).await;
    assert_eq!(status, StatusCode::CONFLICT);

    let (status, state) = console
        .post("/api/mesh/scenarios/riddle/reveal", json!({}))
        .await;
    assert_eq!(status, StatusCode::OK);
    let answer = state["revealed"].as_str().unwrap();
    assert!(
        answer.starts_with("it was ") && answer.contains("back"),
        "{answer}"
    );
    assert_eq!(state["running"], false);
    assert_eq!(policy(&console).await["chaos"].as_array().unwrap().len(), 1);
    assert!(said(&console).await.contains("was revealed: it was"));
    console.stop().await;
}

#[tokio::test]
async fn one_seed_is_one_mystery_and_many_are_several() {
    let console = start_with(storms()).await;
    let mut seen = Vec::new();
    for seed in [1, 2, 3, 4, 5, 6, 7, 8, 1] {
        begin(&console, "riddle", json!({ "seed": seed })).await;
        let mut rule = policy(&console).await["chaos"][1].clone();
        rule["expires_at_ms"] = json!(null);
        rule["seed"] = json!(null);
        seen.push(rule);
        stop(&console, "riddle").await;
    }
    assert_eq!(seen[0], seen[8]);
    assert!(seen[1..8].iter().any(|rule| *rule != seen[0]), "{seen:?}");
    let (_, state) = console
        .post("/api/mesh/scenarios/riddle/reveal", json!({}))
        .await;
    assert!(
        state["revealed"].is_string(),
        "also after it ended: {state}"
    );
    console.stop().await;
}

#[tokio::test]
async fn each_scenario_of_the_shop_reaches_the_sidecars_and_is_undone() {
    let mesh = MeshFile::parse(include_str!("../../../mesh.yaml")).unwrap();
    let console = start_with(ConsoleConfig {
        mesh: ConsoleConfig::from_mesh(&mesh).unwrap().mesh,
        ..config()
    })
    .await;
    let orders = async || {
        let mut lines = console.subscribe("orders-1", nowhere()).await;
        lines.snapshot().await["policy"].clone()
    };
    let before = orders().await;
    assert!(mesh.scenarios.len() >= 10);
    for scenario in &mesh.scenarios {
        let state = begin(&console, &scenario.id, json!({ "seed": 1 })).await;
        let during = orders().await;
        let on = during["chaos"].as_array().unwrap().iter();
        let on = on.filter(|rule| rule["enabled"] == true).count();
        assert!(on > 0, "{state}");
        stop(&console, &scenario.id).await;
        assert_eq!(orders().await, before, "{}", scenario.id);
    }
    console.stop().await;
}
