//! Advice, and its absence.

use super::{lint, lint_mesh};
use crate::config::{Policy, check};

fn policy(yaml: &str) -> Policy {
    let policy = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(check(&policy), [], "advice is for sound policies");
    policy
}

fn keys(yaml: &str) -> Vec<String> {
    lint(&policy(yaml))
        .into_iter()
        .map(|advice| advice.key)
        .collect()
}

fn route(settings: &str) -> String {
    format!(
        "
clusters: {{ a: {{ endpoints: ['a:1'] }}, b: {{ endpoints: ['b:1'] }} }}
routes: [{{ name: r, {settings} }}]"
    )
}

#[test]
fn a_policy_that_does_what_it_says_gets_no_advice() {
    for settings in [
        "cluster: a",
        "cluster: a, deadline: 2s, attempt_timeout: 500ms, retry: { attempts: 3 }",
        "match: { methods: [GET] }, cluster: a, attempt_timeout: 1s, retry: { any_method: true }",
        "split: { clusters: { a: 9, b: 1 } }",
        "match: { path: /health }, respond: { status: 200 }",
    ] {
        assert_eq!(keys(&route(settings)), Vec::<String>::new(), "{settings}");
    }
}

#[test]
fn routes_that_hardly_do_what_was_meant_are_told() {
    for (settings, key) in [
        (
            "cluster: a, deadline: 2s, attempt_timeout: 1s, retry: { attempts: 3 }",
            "retry.attempts",
        ),
        ("cluster: a, retry: { attempts: 2 }", "attempt_timeout"),
        (
            "cluster: a, attempt_timeout: 1s, retry: { any_method: true }",
            "retry.any_method",
        ),
        (
            "cluster: a, attempt_timeout: 1s, retry: { backoff_base: 0s, backoff_cap: 0s }",
            "retry.backoff_cap",
        ),
        ("cluster: a, hedge: { after: 50ms }", "hedge"),
        (
            "cluster: a, mirror: { cluster: a, percent: 1 }",
            "mirror.cluster",
        ),
        ("split: { clusters: { a: 1, b: 0 } }", "split"),
        ("respond: { status: 200 }", "respond.status"),
    ] {
        assert_eq!(
            keys(&route(settings)),
            [format!("routes[0].{key}")],
            "{settings}"
        );
    }
}

#[test]
fn clusters_that_retries_depend_on_are_told() {
    let with = |settings: &str| {
        keys(&format!(
            "
clusters: {{ a: {{ endpoints: ['a:1'], {settings} }} }}
routes: [{{ name: r, cluster: a, attempt_timeout: 1s, retry: {{}} }}]"
        ))
    };
    assert_eq!(
        with("budget: { share: 0, floor: 0 }"),
        ["clusters.a.budget"]
    );
    assert_eq!(with("budget: { share: 1.5 }"), ["clusters.a.budget.share"]);
    assert_eq!(
        with("consecutive_failures: 0"),
        ["clusters.a.consecutive_failures"]
    );
    assert_eq!(
        with("consecutive_failures: 0, failure_share: { share: 0.5 }"),
        Vec::<String>::new()
    );
}

#[test]
fn retries_on_two_levels_and_impatient_callers_are_seen_from_above() {
    let gateway = policy(
        "
clusters: { orders: { endpoints: ['o:1'] } }
routes: [{ name: orders, cluster: orders, deadline: 1s, retry: { attempts: 3 } }]",
    );
    let orders = policy(
        "
clusters: { payments: { endpoints: ['p:1'] } }
routes: [{ name: pay, cluster: payments, deadline: 2s, retry: { attempts: 4 } }]",
    );
    let found = lint_mesh(&[("gateway", &gateway), ("orders", &orders)]);
    let [multiplied, impatient] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(multiplied.service, "gateway");
    assert_eq!(multiplied.advice.key, "routes[0].retry");
    assert!(
        multiplied.advice.message.contains("12 attempts"),
        "{multiplied}"
    );
    assert_eq!(impatient.advice.key, "routes[0].deadline");
    assert_eq!(lint_mesh(&[("orders", &orders)]), []);
}
