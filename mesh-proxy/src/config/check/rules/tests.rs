//! Bad rules get every problem named; good ones none.

use std::time::Duration;

use proptest::{collection::btree_set, prelude::*};
use serde_json::{Map, Value, json};

use crate::{
    config::{FaultKind, Policy, Problem, Rule, check},
    layers::chaos::matching::Matcher,
};

fn problems(rules: &[Rule]) -> Vec<Problem> {
    check(&Policy {
        chaos: rules.to_vec(),
        ..Policy::default()
    })
}

fn read(yaml: &str) -> Rule {
    serde_saphyr::from_str(yaml).unwrap()
}

fn keys(rule: &Rule) -> Vec<String> {
    let mut keys: Vec<String> = problems(std::slice::from_ref(rule))
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    keys.sort();
    keys
}

#[test]
fn a_sound_rule_has_no_problems() {
    for yaml in [
        "{ id: a, where: orders -> payments, abort: 503 }",
        "{ id: a, where: payments, abort: 'grpc:UNAVAILABLE', percent: 0 }",
        "{ id: a, where: payments, delay: 'normal:0s:50ms', percent_of: { delay: 100 } }",
        "{ id: a, where: payments, truncate: 0B, corrupt: 1B, throttle: 1B/s }",
        "{ id: a, where: payments, reset: true, abort: 503, percent: 50 }",
        "{ id: a, where: payments, reset: true, abort: 503, schedule: { ramp: 1m } }",
        "{ id: a, where: payments, abort: 503, match: { methods: [PURGE], callers: [orders, 'spiffe://shop/sa/orders'] } }",
        "{ id: a, where: a -> b, abort: 503, position: request, match: { route: b-post }, max_affected: 1 }",
        "{ id: a, where: a, hang: true, schedule: { after: 9m, ramp: 1m, on: 1s, off: 1s } }",
        "{ id: a, where: a, hang: true, guard: { watch: gateway, min_success: 100 } }",
    ] {
        assert_eq!(problems(&[read(yaml)]), [], "{yaml}");
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of mistakes, one after the other"
)]
fn each_problem_says_where_it_is_and_what_to_do() {
    for (rest, key, part) in [
        ("", "", "give it a `delay`"),
        ("abort: 503, percent: 130", "percent", "0 to 100"),
        ("abort: 503, percent: .nan", "percent", "0 to 100"),
        (
            "abort: 503, percent_of: { abort: -1 }",
            "percent_of.abort",
            "0 to 100",
        ),
        (
            "abort: 503, percent_of: { delay: 1 }",
            "percent_of.delay",
            "no `delay`",
        ),
        ("abort: 200", "abort", "400 to 599"),
        (
            "abort: { status: 503, content_type: a/b }",
            "abort",
            "without a `body`",
        ),
        (
            "abort: { status: 503, body: x, content_type: \"a\\nb\" }",
            "abort",
            "cannot be",
        ),
        ("delay: 0s", "delay", "more, as `200ms`"),
        (
            "chunk_delay: 'exponential:0s'",
            "chunk_delay",
            "more, as `200ms`",
        ),
        ("delay: 'uniform:2s:1s'", "delay", "exchange"),
        ("delay: 'pareto:1s:0'", "delay", "above 0"),
        ("delay: 'pareto:1s:-1'", "delay", "above 0"),
        ("delay: 'pareto:1s:NaN'", "delay", "above 0"),
        ("delay: 'pareto:1s:inf'", "delay", "above 0"),
        ("delay: 'pareto:0s:1'", "delay", "more than 0"),
        ("delay: 2h", "delay", "at most `1h`"),
        ("delay: 'uniform:1s:584542046090y'", "delay", "at most `1h`"),
        ("corrupt: 0B", "corrupt", "64B"),
        ("throttle: 0B/s", "throttle", "`hang`"),
        (
            "abort: 503, first_attempts: 0",
            "first_attempts",
            "1 or more",
        ),
        (
            "abort: 503, first_requests: 0",
            "first_requests",
            "1 or more",
        ),
        ("abort: 503, max_affected: 0", "max_affected", "1 or more"),
        ("abort: 503, for: 0s", "for", "as `10m`"),
        ("abort: 503, for: 2y", "for", "a year"),
        (
            "abort: 503, schedule: { after: 10m }",
            "schedule.after",
            "`for` longer",
        ),
        (
            "abort: 503, schedule: { after: 5m, ramp: 6m }",
            "schedule.ramp",
            "`for` longer",
        ),
        (
            "abort: 503, schedule: { on: 1s }",
            "schedule.off",
            "give both",
        ),
        (
            "abort: 503, schedule: { off: 1s }",
            "schedule.on",
            "give both",
        ),
        (
            "abort: 503, schedule: { on: 0s, off: 1s }",
            "schedule.on",
            "too short",
        ),
        (
            "abort: 503, schedule: { on: 1s, off: 0s }",
            "schedule.off",
            "too short",
        ),
        ("reset: true, abort: 503", "abort", "`reset` comes first"),
        (
            "abort: 503, throttle: 1B/s, percent: 5, percent_of: { abort: 100 }",
            "throttle",
            "percent_of: { abort: 50 }",
        ),
        (
            "abort: 503, position: request",
            "position",
            "CALLER -> payments",
        ),
        (
            "abort: 503, match: { route: a }",
            "match.route",
            "CALLER -> payments",
        ),
        (
            "abort: 503, match: { callers: ['a b'] }",
            "match.callers[0]",
            "no name",
        ),
        (
            "abort: 503, match: { callers: ['spiffe://a//b'] }",
            "match.callers[0]",
            "SPIFFE",
        ),
        (
            "refuse: true, match: { callers: ['spiffe://a/b'] }",
            "match.callers[0]",
            "service's name",
        ),
        ("abort: 503, match: { path: a }", "match.path", "begin with"),
        (
            "abort: 503, match: { path: /a/, }",
            "match.path",
            "write `/a`",
        ),
        (
            "abort: 503, match: { path: /a, path_regex: b }",
            "match",
            "at most one kind",
        ),
        (
            "abort: 503, match: { path_regex: '(' }",
            "match.path_regex",
            "unclosed",
        ),
        (
            "abort: 503, match: { methods: [get] }",
            "match.methods[0]",
            "capitals",
        ),
        (
            "abort: 503, match: { headers: [{ name: 'a b' }] }",
            "match.headers[0].name",
            "no name",
        ),
        (
            "abort: 503, match: { headers: [{ name: Host }] }",
            "match.headers[0].name",
            "edge",
        ),
        (
            "abort: 503, match: { headers: [{ name: X-Mesh-Source }] }",
            "match.headers[0].name",
            "`callers`",
        ),
        (
            "abort: 503, match: { headers: [{ name: a, exact: a, prefix: b }] }",
            "match.headers[0]",
            "keep one",
        ),
        (
            "abort: 503, match: { baggage: [{ name: a, regex: '[' }] }",
            "match.baggage[0].regex",
            "unclosed",
        ),
        (
            "abort: 503, match: { baggage: [{ name: '' }] }",
            "match.baggage[0].name",
            "no key",
        ),
        (
            "abort: 503, match: { baggage: [{ name: mesh.chaos }] }",
            "match.baggage[0].name",
            "arm: baggage",
        ),
        (
            "request_headers: { set: { 'a b': c } }",
            "request_headers.set.a b",
            "no name",
        ),
        (
            "response_headers: { remove: [x-mesh-reason] }",
            "response_headers.remove[0]",
            "sidecars",
        ),
        (
            "response_headers: { add: { a: \"b\\nc\" } }",
            "response_headers.add.a",
            "value of a header",
        ),
        (
            "abort: 503, guard: { watch: a, min_success: 0 }",
            "guard.min_success",
            "more than 0",
        ),
        (
            "abort: 503, guard: { watch: a, min_success: 101 }",
            "guard.min_success",
            "at most 100",
        ),
        (
            "abort: 503, guard: { watch: a, min_success: 9, min_requests: 0 }",
            "guard.min_requests",
            "1 or more",
        ),
    ] {
        let found = problems(&[read(&format!("{{ id: a, where: payments, {rest} }}"))]);
        let [problem] = found.as_slice() else {
            panic!("{rest}: expected one problem, at `{key}`, not {found:#?}");
        };
        let at = problem.key.strip_prefix("chaos[0]").unwrap();
        assert_eq!(at.trim_start_matches('.'), key, "{rest}: {problem}");
        assert!(problem.message.contains(part), "{rest}: {problem}");
    }
}

#[test]
fn what_an_edge_cannot_see_is_refused_there() {
    let edge = "{ id: a, where: orders -> payments, abort: 503, position: request, first_attempts: 2, match: { callers: [orders] } }";
    assert_eq!(
        keys(&read(edge)),
        ["chaos[0].first_attempts", "chaos[0].match.callers"]
    );
}

#[test]
fn ids_are_unique() {
    let rule = read("{ id: a, where: payments, abort: 503 }");
    let found = problems(&[rule.clone(), rule]);
    assert_eq!(found[0].key, "chaos[1].id");
}

/// A mistake: how a sound rule is spoilt, and the key that must be named for it.
type Mistake = (fn(&mut Rule), &'static str);

/// Mistakes that do not hide one another.
const MISTAKES: [Mistake; 22] = [
    (|rule| rule.id = "Not An Id".to_owned(), "id"),
    (|rule| rule.percent = f64::NAN, "percent"),
    (|rule| share(rule, FaultKind::Hang, 5.0), "percent_of.hang"),
    (
        |rule| share(rule, FaultKind::Abort, 101.0),
        "percent_of.abort",
    ),
    (|rule| rule.first_attempts = Some(0), "first_attempts"),
    (|rule| rule.first_requests = Some(0), "first_requests"),
    (|rule| rule.max_affected = Some(0), "max_affected"),
    (
        |rule| rule.delay = Some("uniform:2s:1s".parse().unwrap()),
        "delay",
    ),
    (
        |rule| rule.chunk_delay = Some("pareto:1s:-2".parse().unwrap()),
        "chunk_delay",
    ),
    (|rule| rule.abort = Some("302".parse().unwrap()), "abort"),
    (
        |rule| rule.throttle = Some("0B/s".parse().unwrap()),
        "throttle",
    ),
    (|rule| rule.corrupt = Some(0), "corrupt"),
    (
        |rule| rule.request_headers.remove.push("x y".to_owned()),
        "request_headers.remove[0]",
    ),
    (
        |rule| rule.response_headers = part("{ set: { Connection: close } }"),
        "response_headers.set.Connection",
    ),
    (
        |rule| rule.schedule.on = Some(Duration::from_secs(1)),
        "schedule.off",
    ),
    (
        |rule| rule.schedule.after = Some(rule.ttl),
        "schedule.after",
    ),
    (
        |rule| rule.matches.route = Some("r".to_owned()),
        "match.route",
    ),
    (
        |rule| rule.matches.callers.push("a b".to_owned()),
        "match.callers[0]",
    ),
    (
        |rule| rule.matches.methods.push("get".to_owned()),
        "match.methods[0]",
    ),
    (
        |rule| rule.matches.path_template = Some("/{a}/{a}".to_owned()),
        "match.path_template",
    ),
    (
        |rule| rule.matches.headers.push(part("{ name: a, regex: '(' }")),
        "match.headers[0].regex",
    ),
    (
        |rule| rule.guard = Some(part("{ watch: a, min_success: 120 }")),
        "guard.min_success",
    ),
];

fn share(rule: &mut Rule, kind: FaultKind, percent: f64) {
    rule.percent_of.insert(kind, percent);
}

fn part<T: serde::de::DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap()
}

/// Values of every kind and size for a key, sound or not.
fn values() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "a",
        "a b",
        "payments",
        "orders -> payments",
        "GET",
        "/a",
        "/{x}",
        "(",
        "[a-z]+",
        "baggage",
        "request",
        "0s",
        "5s",
        "10m",
        "584542046090y",
        "uniform:584542046090y:584542046090y",
        "normal:1s:1s",
        "exponential:9h",
        "pareto:1s:1e-300",
        "pareto:1s:NaN",
        "pareto:584542046090y:1.0001",
        "0B",
        "64B",
        "17179869183GiB",
        "1B/s",
        "17179869183GiB/s",
        "grpc:UNAVAILABLE",
        "503",
        "x-mesh-a",
    ];
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![0_u64, 1, 100, 503, u64::MAX]).prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
    ];
    let inner = [
        "methods",
        "path",
        "path_prefix",
        "path_template",
        "path_regex",
        "route",
        "headers",
        "callers",
        "baggage",
        "after",
        "on",
        "off",
        "ramp",
        "watch",
        "min_success",
        "min_requests",
        "name",
        "exact",
        "regex",
        "status",
        "grpc",
        "body",
        "content_type",
        "message",
        "set",
        "add",
        "remove",
        "abort",
        "delay",
    ];
    plain.prop_recursive(3, 12, 3, move |deeper| {
        let key = prop::sample::select(inner.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(deeper.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key, deeper, 0..3)
                .prop_map(|map| Value::from(Map::from_iter(map))),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = Value> {
    let keys = [
        "match",
        "arm",
        "percent",
        "percent_of",
        "position",
        "first_attempts",
        "first_requests",
        "max_affected",
        "delay",
        "chunk_delay",
        "abort",
        "reset",
        "hang",
        "refuse",
        "throttle",
        "truncate",
        "corrupt",
        "request_headers",
        "response_headers",
        "seed",
        "for",
        "schedule",
        "guard",
        "expires_at_ms",
        "id",
        "where",
    ];
    let key = prop::sample::select(keys.to_vec()).prop_map(str::to_owned);
    prop::collection::btree_map(key, values(), 0..4).prop_map(|map| {
        let mut rule = json!({ "id": "a", "where": "payments" });
        rule.as_object_mut().unwrap().extend(map);
        rule
    })
}

proptest! {
    #[test]
    fn of_several_mistakes_each_is_named(chosen in btree_set(0..MISTAKES.len(), 0..MISTAKES.len())) {
        let mut rule = read("{ id: a, where: payments, abort: 503, percent: 50 }");
        let mut wanted = Vec::new();
        for (spoil, key) in chosen.into_iter().map(|number| MISTAKES[number]) {
            spoil(&mut rule);
            wanted.push(format!("chaos[0].{key}"));
        }
        // A share above 100 leaves nothing for the four faults behind the abort, either.
        wanted.sort();
        let found = keys(&rule);
        prop_assert!(wanted.iter().all(|key| found.contains(key)), "{wanted:?} not all in {found:?}");
        prop_assert!(found.len() <= wanted.len() + 4, "{wanted:?} led to {found:?}");
    }

    #[test]
    fn no_rule_breaks_the_check(raw in any_rule(), since in any::<u64>()) {
        let Ok(rule) = serde_json::from_value::<Rule>(raw) else {
            return Ok(());
        };
        problems(std::slice::from_ref(&rule));
        let _ = Matcher::of(&rule);
        if problems(std::slice::from_ref(&rule)).is_empty() {
            let share = rule.schedule.share(Duration::from_millis(since));
            prop_assert!((0.0..=1.0).contains(&share));
            prop_assert!(rule.faults().count() > 0);
            let longest = rule.delay.map_or(Duration::ZERO, |delay| delay.mean());
            prop_assert!(longest >= Duration::ZERO);
        }
    }
}
