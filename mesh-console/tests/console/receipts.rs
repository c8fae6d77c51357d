//! What sidecars report of the rules in force, and what is shown of it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Folder, Lines, Running, config, nowhere, start, start_with, until};

/// Puts the rule that waits in force; gives back when it ends.
async fn turn_on(console: &Running) -> Value {
    let path = "/api/mesh/chaos/waiting";
    let (_, state) = console
        .write(Method::PATCH, path, json!({ "enabled": true }))
        .await;
    state["rule"]["expires_at_ms"].clone()
}

/// A sidecar of a test: it holds a stream, and reports what the test says.
struct Sidecar {
    instance: &'static str,
    since_ms: u64,
    _stream: Lines,
}

impl Sidecar {
    async fn start(console: &Running, instance: &'static str, since_ms: u64) -> Self {
        Self {
            instance,
            since_ms,
            _stream: console.subscribe(instance, nowhere()).await,
        }
    }

    fn rule(&self, ends: &Value, seen: u64, struck: u64) -> Value {
        json!({
            "id": "waiting", "expires_at_ms": ends, "since_ms": self.since_ms,
            "seen": seen, "matched": struck, "struck": struck, "spared": 0, "held": struck.min(1),
            "last_ms": 1_700_000_000_000_u64 + struck, "nearest": null,
        })
    }

    fn body(&self, halted: bool, rules: &Value) -> Value {
        let service = self.instance.split('-').next().unwrap();
        json!({
            "service": service, "instance": self.instance,
            "revision": 1, "halted": halted, "rules": rules,
        })
    }

    async fn report(&self, console: &Running, ends: &Value, seen: u64, struck: u64) {
        let rules = json!([self.rule(ends, seen, struck)]);
        self.post(console, &self.body(false, &rules)).await;
    }

    async fn halted(&self, console: &Running) {
        self.post(console, &self.body(true, &json!([]))).await;
    }

    async fn post(&self, console: &Running, body: &Value) {
        let answer = console.control("/control/v1/report", body).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

async fn receipt(console: &Running) -> Value {
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    chaos["rules"][0]["receipt"].clone()
}

async fn numbers(console: &Running) -> [u64; 4] {
    let receipt = receipt(console).await;
    ["sidecars", "seen", "struck", "held"].map(|key| receipt[key].as_u64().unwrap())
}

#[tokio::test]
async fn receipts_are_summed_and_do_not_shrink_when_sidecars_go_and_return() {
    let console = start().await;
    let ends = turn_on(&console).await;
    assert_eq!(
        receipt(&console).await["nothing"],
        "no sidecar holds it yet"
    );
    let one = Sidecar::start(&console, "back-1", 1).await;
    let two = Sidecar::start(&console, "back-2", 2).await;
    one.report(&console, &ends, 0, 0).await;
    assert_eq!(receipt(&console).await["nothing"], "no request came by yet");
    one.report(&console, &ends, 10, 4).await;
    two.report(&console, &ends, 20, 5).await;
    assert_eq!(numbers(&console).await, [2, 30, 9, 2]);
    let now = receipt(&console).await;
    assert_eq!(now["last_ms"], 1_700_000_000_005_u64);
    assert_eq!(now["nothing"], json!(null));
    drop(one);
    until("the disconnect", async || {
        numbers(&console).await == [1, 30, 9, 1]
    })
    .await;
    let again = Sidecar::start(&console, "back-1", 3).await;
    assert_eq!(
        numbers(&console).await,
        [1, 30, 9, 1],
        "it holds nothing yet"
    );
    again.report(&console, &ends, 1, 1).await;
    assert_eq!(numbers(&console).await, [2, 31, 10, 2]);
    let anew = turn_on(&console).await;
    assert_eq!(numbers(&console).await, [0; 4], "on again, counted again");
    again.report(&console, &ends, 2, 2).await;
    assert_eq!(numbers(&console).await, [0; 4], "that was before");
    again.report(&console, &anew, 1, 0).await;
    assert_eq!(numbers(&console).await, [1, 1, 0, 0]);
    console.post("/api/mesh/chaos/halt", json!({})).await;
    assert_eq!(numbers(&console).await, [0; 4], "off, nothing is shown");
    console.stop().await;
}

#[tokio::test]
async fn a_restarted_console_has_the_totals_again_when_sidecars_have_reported() {
    let folder = Folder::new();
    let mut settings = config();
    settings.data_dir = Some(folder.0.clone());
    let console = start_with(settings.clone()).await;
    let ends = turn_on(&console).await;
    let one = Sidecar::start(&console, "back-1", 1).await;
    one.report(&console, &ends, 10, 4).await;
    console.stop().await;
    let console = start_with(settings).await;
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(chaos["rules"][0]["rule"]["expires_at_ms"], ends);
    let one = Sidecar::start(&console, "back-1", 1).await;
    one.report(&console, &ends, 12, 5).await;
    assert_eq!(numbers(&console).await, [1, 12, 5, 1]);
    console.stop().await;
}

#[tokio::test]
async fn a_rule_that_matches_nothing_says_what_came_nearest() {
    let console = start().await;
    let ends = turn_on(&console).await;
    let one = Sidecar::start(&console, "back-1", 1).await;
    let mut rule = one.rule(&ends, 214, 0);
    rule["nearest"] = json!({ "request": "GET /payments", "key": "match.methods", "met": 0 });
    one.post(&console, &one.body(false, &json!([rule]))).await;
    assert_eq!(
        receipt(&console).await["nothing"],
        "0 of 214 requests matched; nearest: GET /payments, which does not meet match.methods"
    );
    console.stop().await;
}

#[tokio::test]
async fn a_sidecar_that_was_halted_alone_shows_until_it_is_not() {
    let console = start().await;
    let ends = turn_on(&console).await;
    let one = Sidecar::start(&console, "back-1", 1).await;
    one.report(&console, &ends, 3, 3).await;
    let mut events = console.events().await;
    one.halted(&console).await;
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(chaos["halted"], json!(["back-1"]));
    assert_eq!(numbers(&console).await, [0, 3, 3, 0], "what it met stays");
    let mut told = false;
    while !told {
        let (name, data) = events.event().await;
        told = name == "chaos" && data["halted"] == json!(["back-1"]);
    }
    let (_, activity) = console.get("/api/mesh/activity").await;
    let text = activity[0]["text"].as_str().unwrap();
    assert!(text.contains("halted at back-1 alone"), "{text}");
    let anew = turn_on(&console).await;
    one.report(&console, &anew, 0, 0).await;
    let (_, chaos) = console.get("/api/mesh/chaos").await;
    assert_eq!(chaos["halted"], json!([]));
    one.halted(&console).await;
    drop(one);
    until("it is gone", async || {
        let (_, chaos) = console.get("/api/mesh/chaos").await;
        chaos["halted"] == json!([])
    })
    .await;
    console.stop().await;
}

#[tokio::test]
async fn the_live_feed_tells_of_receipts_within_a_tick() {
    let console = start().await;
    let ends = turn_on(&console).await;
    let one = Sidecar::start(&console, "back-1", 1).await;
    let mut events = console.events().await;
    one.report(&console, &ends, 7, 7).await;
    let mut told = false;
    while !told {
        let (name, data) = events.event().await;
        told = name == "chaos" && data["rules"][0]["receipt"]["struck"] == 7;
    }
    console.stop().await;
}

#[tokio::test]
async fn reports_of_strangers_and_nonsense_are_refused() {
    let console = start().await;
    let ends = turn_on(&console).await;
    let one = Sidecar::start(&console, "back-1", 1).await;
    let good = one.body(false, &json!([one.rule(&ends, 1, 1)]));
    let with = |path: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let long = json!({ "request": "x".repeat(201), "key": "arm", "met": 0 });
    let many: Vec<Value> = (0..101).map(|_| one.rule(&ends, 1, 1)).collect();
    for (body, wanted) in [
        (with("/instance", json!("back-9")), StatusCode::CONFLICT),
        (with("/rules", json!(many)), StatusCode::BAD_REQUEST),
        (with("/rules/0/nearest", long), StatusCode::BAD_REQUEST),
        (with("/rules/0/seen", json!(-1)), StatusCode::BAD_REQUEST),
        (
            with("/rules/0", json!({ "id": "waiting" })),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let answer = console.control("/control/v1/report", &body).await;
        assert_eq!(answer.status(), wanted, "{body}");
    }
    assert_eq!(numbers(&console).await, [0; 4]);
    console.stop().await;
}
