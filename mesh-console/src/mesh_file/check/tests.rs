use super::*;

fn keys(text: &str) -> Vec<String> {
    let problems = MeshFile::parse(text).unwrap().check();
    problems.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn the_built_in_mesh_is_sound() {
    let mesh = MeshFile::parse(include_str!("../../../../mesh.yaml")).unwrap();
    assert_eq!(mesh.check(), []);
    assert_eq!(mesh.resolve().unwrap().check(), []);
}

#[test]
fn the_mesh_in_containers_has_the_same_chaos() {
    let native = MeshFile::parse(include_str!("../../../../mesh.yaml")).unwrap();
    let contained = include_str!("../../../../deploy/compose/mesh.yaml");
    let contained = MeshFile::parse(contained).unwrap();
    assert_eq!(contained.check(), []);
    assert_eq!(contained.chaos, native.chaos);
    assert_eq!(contained.scenarios, native.scenarios);
}

#[test]
fn everything_wrong_with_scenarios_is_named() {
    let found = keys(
        "mesh: m
services: { a: { calls: [b] }, b: {} }
chaos: [ { id: one, where: b, abort: 503 } ]
scenarios:
  - { id: Bad, title: '', story: s, look_for: [], for: 2days, rules: [one, nobody, one] }
  - id: x
    title: t
    story: s
    look_for: [l]
    rules:
      - { id: one, where: b, abort: 503 }
      - { id: two, where: ghost, abort: 503, for: 1m, seed: 3, enabled: false }
    routes:
      - { from: b, to: a, policy: {} }
      - { to: ghost, policy: { match: { path: /a } } }
  - id: x
    title: t
    story: s
    look_for: [l]
    routes: [ { to: b, policy: { deadline: 100ms, attempt_timeout: 3s } } ]
    mystery:
      - rule: { id: m, where: b }
        places: [ghost]
        percent: { from: 50, to: 20 }
        delay: { from: 2s, to: 1s }
  - { id: empty, title: t, story: s, look_for: [l] }",
    );
    for key in [
        "scenarios[0].id",
        "scenarios[0].title",
        "scenarios[0].look_for",
        "scenarios[0].for",
        "scenarios[0].rules[1]",
        "scenarios[0].rules[2]",
        "scenarios[1].rules[0].id",
        "scenarios[1].rules[1].where",
        "scenarios[1].rules[1].for",
        "scenarios[1].rules[1].seed",
        "scenarios[1].rules[1].enabled",
        "scenarios[1].routes[0]",
        "scenarios[1].routes[1].to",
        "scenarios[1].routes[1].policy.match",
        "scenarios[2].id",
        "scenarios[2]",
        "scenarios[2].routes[0].policy.attempt_timeout",
        "scenarios[2].mystery",
        "scenarios[2].mystery[0].places[0]",
        "scenarios[2].mystery[0].percent",
        "scenarios[2].mystery[0].delay",
        "scenarios[3]",
    ] {
        assert!(found.iter().any(|one| one == key), "{key} not in {found:?}");
    }
}

#[test]
fn all_problems_come_at_once_with_their_keys() {
    let found = keys(
        "mesh: ''
telemetry: { sample_ratio: 2 }
load: { rps: -1 }
services:
  Front: { expose: 4080, instances: 2, calls: [back, nobody, back] }
  back: { instances: 0 }
  external: {}
routes:
  - { from: back, to: Front, policy: {} }
  - { to: ghost, policy: {} }
chaos:
  - { id: a, where: ghost, abort: 503 }
  - { id: a, where: back -> Front, abort: 503 }",
    );
    for key in [
        "mesh",
        "telemetry.sample_ratio",
        "load.rps",
        "services.Front",
        "services.Front.expose",
        "services.Front.calls[1]",
        "services.Front.calls[2]",
        "services.back.instances",
        "services.external",
        "routes[0]",
        "routes[1].to",
        "chaos[0].where",
        "chaos[1].id",
        "chaos[1].where",
    ] {
        assert!(found.iter().any(|one| one == key), "{key} not in {found:?}");
    }
}

#[test]
fn unknown_services_are_answered_with_the_near() {
    let mesh =
        MeshFile::parse("mesh: m\nservices: { a: { calls: [payment] }, payments: {} }").unwrap();
    let problems = mesh.check();
    assert!(problems[0].message.contains("did you mean `payments`?"));
}

#[test]
fn a_deadline_shorter_than_its_attempts_is_named_where_it_was_written() {
    let found = keys(
        "mesh: m
services: { a: { calls: [b, c] }, b: {}, c: {} }
defaults: { deadline: 2s, attempt_timeout: 1s }
routes: [ { from: a, to: b, policy: { attempt_timeout: 3s } } ]",
    );
    assert_eq!(found, ["routes[0].policy.attempt_timeout"]);
}

#[test]
fn problems_of_routes_clusters_and_inbound_are_named_where_they_were_written() {
    let found = keys(
        "mesh: m
services:
  a: { calls: [b], inbound: { max_in_flight: 0 } }
  b: { rate_limit: { per_second: 0 } }
defaults: { cluster: { max_ejected: 3 } }
routes:
  - to: b
    policy: { hedge: { after: 0s } }
    routes:
      - { name: x, match: { path: nowhere } }
      - { name: y, match: { path: /y }, split: { clusters: { b: 1, ghost: 1 } } }",
    );
    for key in [
        "services.a.inbound.max_in_flight",
        "services.b.rate_limit.per_second",
        "defaults.cluster.max_ejected",
        "routes[0].policy.hedge.after",
        "routes[0].routes[0].match.path",
    ] {
        assert!(found.iter().any(|one| one == key), "{key} not in {found:?}");
    }
    let split = |key: &String| key.starts_with("routes[0].routes[1].split");
    assert!(found.iter().any(split), "{found:?}");
}

#[test]
fn settings_in_the_wrong_place_are_answered_with_the_right_one() {
    let found = keys(
        "mesh: m
services: { a: { calls: [b] }, b: {} }
defaults: { match: { path: /a }, cluster: { endpoints: ['b:1'], budget: { share: 1 } } }
routes: [{ to: b, routes: [{ respond: { status: 410 } }] }]",
    );
    for key in [
        "defaults.match",
        "defaults.cluster.endpoints",
        "defaults.cluster.budget",
        "routes[0].routes[0].name",
    ] {
        assert!(found.iter().any(|one| one == key), "{key} not in {found:?}");
    }
}

#[test]
fn instances_have_names_of_their_own_and_addresses() {
    let found = keys(
        "mesh: m
services:
  a: { instances: [ { name: x, inbound: 'a:1' }, { name: x, inbound: 'a' } ] }",
    );
    assert_eq!(
        found,
        [
            "services.a.instances[1].inbound",
            "services.a.instances[1].name"
        ]
    );
}

#[test]
fn ports_that_collide_are_named_by_their_setting() {
    let found = keys("mesh: m\nports: { console: 4318 }\nservices: { a: {} }");
    assert_eq!(found, ["ports.otlp_http"]);
}

#[test]
fn numbers_of_rules_and_retries_are_checked_as_a_sidecar_would() {
    let found = keys(
        "mesh: m
services: { a: { calls: [b] }, b: {} }
defaults: { retry: { attempts: 0 }, budget: { share: -1 } }
chaos: [ { id: x, where: b, percent: 120, abort: 503 }, { id: y, where: b } ]",
    );
    assert!(found.contains(&"chaos[0].percent".to_owned()), "{found:?}");
    assert!(
        found.contains(&"defaults.retry.attempts".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"defaults.budget.share".to_owned()),
        "{found:?}"
    );
    assert!(
        found.iter().any(|key| key.starts_with("chaos[1]")),
        "{found:?}"
    );
}

#[test]
fn unknown_keys_are_errors_with_their_place() {
    let error = MeshFile::parse("mesh: m\nservices: { a: { cals: [b] } }").unwrap_err();
    assert!(error.contains("cals"), "{error}");
}

#[test]
fn the_example_of_the_manual_has_no_problems() {
    let page = include_str!("../../../../docs/mesh-file.md");
    // The second block goes on where the first one ends.
    let blocks = page.split("```yaml\n").skip(1).take(2);
    let blocks: Vec<&str> = blocks.map(|one| one.split("```").next().unwrap()).collect();
    let mesh = MeshFile::parse(&blocks.concat()).unwrap();
    assert_eq!(mesh.scenarios.len(), 2);
    assert_eq!(mesh.check(), []);
    let gateway = mesh.resolve().unwrap().policy_for("gateway", &mesh.chaos);
    let names: Vec<&str> = gateway.routes.iter().map(|one| one.name.as_str()).collect();
    let wanted = [
        "users",
        "canary",
        "split",
        "retired",
        "payments",
        "payments-next",
    ];
    assert_eq!(names, wanted);
}
