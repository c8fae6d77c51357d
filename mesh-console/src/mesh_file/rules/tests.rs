//! Rules against a mesh: what does not exist there is named, with what does.

use super::{MeshFile, Rule};

const MESH: &str = "mesh: m
services:
  gateway: { expose: 4080, calls: [orders, payments] }
  orders: { calls: [payments, stock] }
  payments: { instances: 2 }
  payments-canary: {}
  stock: { instances: [{ name: shelf, inbound: 'stock:1' }] }
routes:
  - { to: payments, policy: { mirror: { cluster: payments, percent: 1 } } }
  - from: orders
    to: payments
    routes:
      - { name: charges, match: { path_prefix: /charges } }
      - { name: reads, match: { methods: [GET] }, split: { clusters: { payments: 1, stock: 1 } } }
";

fn problems(mesh: &MeshFile, rule: &str) -> Vec<(String, String)> {
    let rule = serde_saphyr::from_str(&format!("{{ id: a, {rule} }}")).unwrap();
    let found = mesh.check_rule(&rule).into_iter();
    found.map(|one| (one.key, one.message)).collect()
}

/// Before and after instances have their addresses.
fn meshes() -> [MeshFile; 2] {
    let mesh = MeshFile::parse(MESH).unwrap();
    [mesh.resolve().unwrap(), mesh]
}

#[test]
fn a_rule_for_what_there_is_has_no_problems() {
    for rule in [
        "where: orders -> payments, abort: 503",
        "where: payments, abort: 503, match: { callers: [orders, gateway, external, 'spiffe://m/sa/x'] }",
        "where: payments-2, reset: true",
        "where: shelf, hang: true",
        "where: payments, refuse: true, match: { callers: [orders] }",
        "where: orders -> payments, refuse: true, match: { route: charges }",
        "where: orders -> stock, abort: 503, match: { route: reads }",
        "where: orders -> payments, abort: 503, match: { route: payments-mirror }",
        "where: stock, abort: 503, guard: { watch: gateway -> orders, min_success: 90 }",
        "where: stock, abort: 503, guard: { watch: gateway, min_success: 90 }",
    ] {
        for mesh in meshes() {
            assert_eq!(problems(&mesh, rule), [], "{rule}");
        }
    }
}

#[test]
fn what_the_mesh_does_not_have_is_named_with_what_it_has() {
    for (rule, key, part) in [
        (
            "where: paymnts, abort: 503",
            "where",
            "did you mean `payments`?",
        ),
        ("where: payments-3, abort: 503", "where", "`payments-1`"),
        (
            "where: nothing, abort: 503",
            "where",
            "known: gateway, orders",
        ),
        (
            "where: order -> payments, abort: 503",
            "where",
            "did you mean `orders`?",
        ),
        (
            "where: orders -> payments-2, abort: 503",
            "where",
            "one instance of `payments`",
        ),
        (
            "where: payments -> orders, abort: 503",
            "where",
            "it calls nobody",
        ),
        (
            "where: orders -> gateway, abort: 503",
            "where",
            "its calls are: payments, stock",
        ),
        (
            "where: payments-2, refuse: true",
            "refuse",
            "cannot single out `payments-2`",
        ),
        (
            "where: gateway, refuse: true",
            "refuse",
            "no service of this mesh calls `gateway`",
        ),
        (
            "where: payments, refuse: true, match: { callers: [external] }",
            "match.callers[0]",
            "strangers",
        ),
        (
            "where: payments, abort: 503, match: { callers: [order] }",
            "match.callers[0]",
            "`orders`",
        ),
        (
            "where: stock, abort: 503, match: { callers: [orders, gateway] }",
            "match.callers[1]",
            "does not call",
        ),
        (
            "where: orders -> payments, abort: 503, match: { route: charge }",
            "match.route",
            "did you mean `charges`?",
        ),
        (
            "where: gateway -> payments, abort: 503, match: { route: charges }",
            "match.route",
            "known: payments",
        ),
        (
            "where: stock, abort: 503, guard: { watch: stock -> orders, min_success: 9 }",
            "guard.watch",
            "does not call",
        ),
        (
            "where: stock, abort: 503, guard: { watch: shelf, min_success: 9 }",
            "guard.watch",
            "write `stock`",
        ),
        (
            "where: stock, abort: 503, guard: { watch: shop, min_success: 9 }",
            "guard.watch",
            "no service",
        ),
    ] {
        for mesh in meshes() {
            let found = problems(&mesh, rule);
            let named = found
                .iter()
                .any(|(at, message)| at == key && message.contains(part));
            assert!(
                named && found.len() == 1,
                "{rule}: expected `{key}` … `{part}`, not {found:#?}"
            );
        }
    }
}

#[test]
fn problems_of_the_rule_and_of_its_place_are_named_together() {
    let [mesh, _] = meshes();
    let rule = "where: paymnts, percent: 101, abort: 200, match: { path: x }, guard: { watch: x, min_success: 0 }";
    let keys: Vec<String> = problems(&mesh, rule)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        keys,
        [
            "percent",
            "abort",
            "match.path",
            "guard.min_success",
            "where",
            "guard.watch"
        ]
    );
}

#[test]
fn an_instance_that_is_called_as_a_service_is_no_place() {
    let mesh = "mesh: m\nservices: { a: { instances: 2 }, a-2: {} }";
    let mesh = MeshFile::parse(mesh).unwrap();
    let found = problems(&mesh, "where: a-2, abort: 503");
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("rename"), "{found:?}");
    assert_eq!(problems(&mesh, "where: a-1, abort: 503"), []);
}

#[test]
fn testers_of_a_service_that_is_no_entry_are_pointed_out() {
    let mesh = "mesh: m\nservices: { a: { inbound: { testers: { networks: [10.0.0.0/8] } } }, b: { expose: 1, inbound: { testers: { networks: [localhost] } } } }";
    let keys: Vec<String> = MeshFile::parse(mesh)
        .unwrap()
        .check()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(
        keys,
        [
            "services.a.inbound.testers",
            "services.b.inbound.testers.networks[0]"
        ]
    );
}

#[test]
fn the_example_of_the_page_is_a_sound_rule_of_the_shop() {
    let page = include_str!("../../../../docs/chaos.md");
    let (_, example) = page.split_once("```yaml\nchaos:\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let rules: Vec<Rule> = serde_saphyr::from_str(example).unwrap();
    let shop = MeshFile::parse(include_str!("../../../../mesh.yaml")).unwrap();
    assert_eq!(shop.check_rule(&rules[0]), []);
    let said = serde_json::to_value(&rules[0]).unwrap();
    for key in [
        "match",
        "arm",
        "percent_of",
        "first_attempts",
        "max_affected",
        "schedule",
        "guard",
    ] {
        assert!(said.get(key).is_some(), "{key}");
    }
}
