//! Rules of any kind: what cannot be read or put in force is refused in words, and what
//! is put in force never makes the sidecar stumble.

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http_body_util::BodyExt as _;
use mesh_proxy::config::{Policy, Rule, check};
use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{PRODUCTS, edge, node};
use crate::support::{get, open, policy};

/// Keys of a rule, with values that are near to sense.
const VALUES: &[(&str, &[&str])] = &[
    ("description", &[r#""""#, r#""ä\u0000""#]),
    (
        "percent",
        &["0", "100", "50.5", "-1", "1e308", "null", "true"],
    ),
    (
        "percent_of",
        &[
            "{}",
            r#"{"delay":50}"#,
            r#"{"abort":1e400}"#,
            r#"{"no":1}"#,
            r#"{"truncate":100,"reset":1}"#,
        ],
    ),
    (
        "position",
        &[r#""attempt""#, r#""request""#, r#""Request""#],
    ),
    ("arm", &[r#""always""#, r#""baggage""#, "1"]),
    (
        "first_attempts",
        &["0", "1", "4294967295", "4294967296", "-1"],
    ),
    ("first_requests", &["0", "1", "18446744073709551615"]),
    ("max_affected", &["0", "1", "18446744073709551615"]),
    (
        "delay",
        &[
            r#""0s""#,
            r#""5ms""#,
            r#""normal:1ms:1ms""#,
            r#""pareto:1ms:0.01""#,
            r#""pareto:1ms:NaN""#,
            r#""pareto:1ms:-0""#,
            r#""pareto:1h:1e-300""#,
            r#""uniform:2ms:1ms""#,
            r#""uniform:1ms:584542046090years""#,
            r#""exponential:1h""#,
            r#""normal:18446744073709551615s:1s""#,
            r#"":""#,
            "1",
        ],
    ),
    (
        "chunk_delay",
        &[
            r#""1ms""#,
            r#""exponential:2ms""#,
            r#""uniform:0s:1h""#,
            r#""fixed:9ms""#,
        ],
    ),
    (
        "abort",
        &[
            "503",
            "99",
            "65536",
            r#""grpc:14""#,
            r#""grpc:0""#,
            r#"{"status":500,"body":"x\u0000"}"#,
            r#"{"status":500,"body":"","content_type":"\r\n"}"#,
            r#"{"status":401,"body":"{}","content_type":"a/b"}"#,
            r#"{"grpc":"INTERNAL","message":"ä\n"}"#,
            "{}",
        ],
    ),
    ("reset", &["true", "false", "1"]),
    ("hang", &["true", "false"]),
    ("refuse", &["true", "false"]),
    (
        "throttle",
        &[
            r#""1B/s""#,
            r#""0B/s""#,
            r#""10KiB/s""#,
            r#""17179869183GiB/s""#,
            r#""99999999999GiB/s""#,
            r#""/s""#,
        ],
    ),
    (
        "truncate",
        &[r#""0B""#, r#""7B""#, r#""17179869183GiB""#, r#""-1B""#],
    ),
    (
        "corrupt",
        &[r#""0B""#, r#""1B""#, r#""64B""#, r#""17179869183GiB""#],
    ),
    (
        "request_headers",
        &[
            r#"{"remove":["x-a"]}"#,
            r#"{"set":{"x-b":"\n"}}"#,
            r#"{"set":{":path":"/"}}"#,
            r#"{"add":{"x-c":"%REQ%"}}"#,
            r#"{"set":{"content-length":"5"}}"#,
        ],
    ),
    (
        "response_headers",
        &[
            r#"{"set":{"x-b":"c"}}"#,
            r#"{"remove":["content-length"]}"#,
            r#"{"set":{"":""}}"#,
            r#"{"set":{"transfer-encoding":"chunked"}}"#,
        ],
    ),
    (
        "match",
        &[
            "{}",
            r#"{"methods":["GET"]}"#,
            r#"{"methods":["G T"]}"#,
            r#"{"path_regex":"("}"#,
            r#"{"path_regex":"/.*"}"#,
            r#"{"path_template":"/{a}/{a}"}"#,
            r#"{"path_prefix":"/products"}"#,
            r#"{"path":"x"}"#,
            r#"{"headers":[{"name":"host","regex":".*"}]}"#,
            r#"{"baggage":[{"name":"a","exact":"b"}]}"#,
            r#"{"callers":["spiffe://"]}"#,
            r#"{"route":"payments"}"#,
        ],
    ),
    ("seed", &["0", "18446744073709551615", "-1"]),
    ("enabled", &["true", "false"]),
    (
        "for",
        &[r#""0s""#, r#""1h""#, r#""584542046090years""#, r#""24h""#],
    ),
    (
        "schedule",
        &[
            "{}",
            r#"{"after":"1ms"}"#,
            r#"{"on":"1ms","off":"1ms"}"#,
            r#"{"on":"1s"}"#,
            r#"{"on":"500000000000years","off":"500000000000years"}"#,
            r#"{"ramp":"0s"}"#,
            r#"{"ramp":"1h","after":"0s"}"#,
        ],
    ),
    (
        "guard",
        &[
            r#"{"watch":"gateway","min_success":0}"#,
            r#"{"watch":"a -> b","min_success":95}"#,
        ],
    ),
    ("expires_at_ms", &["0", "18446744073709551615", "null"]),
    ("unknown", &["1"]),
];

/// Puts the proposed keys together.
fn rule(place: &str, picks: &[(Index, Index)]) -> Value {
    let mut rule = Map::new();
    rule.insert("id".to_owned(), json!("bad"));
    rule.insert("where".to_owned(), json!(place));
    for (key, value) in picks {
        let (key, values) = key.get(VALUES);
        let value = value.get(values);
        // Numbers that JSON cannot hold become text.
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        rule.insert((*key).to_owned(), value);
    }
    Value::Object(rule)
}

fn picks(most: usize) -> impl Strategy<Value = Vec<(Index, Index)>> {
    prop::collection::vec(any::<(Index, Index)>(), 0..most)
}

/// Does all that is done with a rule before it is in force.
fn handle(rule: &Rule) -> bool {
    let json = serde_json::to_string(rule).unwrap();
    // As text: a shape that is no number, which is refused below, is not equal to itself.
    let again: Rule = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), json);
    for kind in rule.faults() {
        let _ = (rule.percent_of(kind), kind.to_string());
    }
    let delays = [rule.delay, rule.chunk_delay];
    let _ = delays.map(|delay| delay.map(|delay| (delay.mean(), delay.to_string())));
    let problems = check(&Policy {
        chaos: vec![rule.clone()],
        ..Policy::default()
    });
    for problem in &problems {
        assert!(problem.to_string().contains("chaos[0]"), "{problem}");
    }
    if problems.is_empty() {
        for seconds in [0, 1, 3_600, u64::MAX] {
            let share = rule.schedule.share(Duration::from_secs(seconds));
            assert!(
                (0.0..=1.0).contains(&share),
                "{share} after {seconds} s: {json}"
            );
        }
    }
    problems.is_empty()
}

proptest! {
    #![proptest_config(Config::with_cases(500))]

    #[test]
    fn any_text_is_a_rule_or_refused_in_words(text in "\\PC{0,80}", yaml in "[-{}\\[\\]:,'\"#&*!|>a-z0-9 \n]{0,120}") {
        for text in [text, yaml] {
            for read in [
                serde_json::from_str::<Rule>(&text).map_err(|error| error.to_string()),
                serde_saphyr::from_str::<Rule>(&text).map_err(|error| error.to_string()),
            ] {
                match read {
                    Ok(rule) => { handle(&rule); }
                    Err(words) => prop_assert!(!words.is_empty()),
                }
            }
        }
    }

    #[test]
    fn what_is_nearly_a_rule_is_checked_or_refused_in_words(
        place in select(vec!["payments", "orders -> payments", "payments-2", "->", "a -> ", "", "ä"]),
        picks in picks(8), delay in "[a-z0-9:.]{0,20}", odd: bool,
    ) {
        let mut raw = rule(place, &picks);
        if odd {
            raw["delay"] = json!(delay);
        }
        let yaml = serde_saphyr::from_str::<Rule>(&raw.to_string());
        let json = serde_json::from_value::<Rule>(raw.clone());
        prop_assert_eq!(yaml.is_ok(), json.is_ok(), "{}: {:?} {:?}", raw, yaml.err(), json.err());
        if let Ok(rule) = json {
            handle(&rule);
        }
    }
}

/// Panics anywhere but in a test: a task of the sidecar that panics breaks a connection,
/// which is what some faults do, too.
static STUMBLED: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_test = info
            .location()
            .is_some_and(|at| at.file().contains("tests/stack"));
        STUMBLED.fetch_add(usize::from(!is_test), Ordering::Relaxed);
        before(info);
    }));
}

/// Rules that pass the check, each in force at an edge and at a node for a few requests.
#[tokio::test(start_paused = true)]
async fn a_rule_that_passes_the_check_never_makes_the_sidecar_stumble() {
    count_panics();
    let (edge, node) = (edge("delay: 1ms").await, node("delay: 1ms").await);
    let mut runner = TestRunner::deterministic();
    let (mut tried, mut revision) = (0, 1);
    while tried < 60 {
        let picks = picks(6).new_tree(&mut runner).unwrap().current();
        let [at_edge, at_node] = ["orders -> payments", "payments"].map(|place| {
            let raw = rule(place, &picks);
            serde_json::from_value::<Rule>(raw).ok()
        });
        let (Some(at_edge), Some(at_node)) = (at_edge, at_node) else {
            continue;
        };
        if !(handle(&at_edge) && handle(&at_node)) {
            continue;
        }
        (tried, revision) = (tried + 1, revision + 1);
        let shown = serde_json::to_string(&at_edge).unwrap();
        let yaml = super::OUT.replace("[$rule]", "[]");
        let mut edges = policy(&yaml, &[("app", edge.app.address)]);
        edges.chaos = vec![at_edge];
        edge.proxy.sidecar.apply(revision, edges).unwrap();
        let nodes = Policy {
            chaos: vec![at_node],
            ..Policy::default()
        };
        node.proxy.sidecar.apply(revision, nodes).unwrap();
        for struck in [&edge, &node] {
            for _ in 0..2 {
                ask(struck.address).await;
            }
        }
        let stumbled = STUMBLED.load(Ordering::Relaxed);
        assert_eq!(stumbled, 0, "under {shown}");
    }
    for struck in [&edge, &node] {
        struck
            .proxy
            .sidecar
            .apply(revision + 1, Policy::default())
            .ok();
    }
}

/// Patience of a minute of the paused clock. Whatever comes back is fine.
async fn ask(address: std::net::SocketAddr) {
    let _ = timeout(Duration::from_mins(1), async {
        let response = open(address, get("payments", "/products")).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some(body.len() <= PRODUCTS.len())
    })
    .await;
}
