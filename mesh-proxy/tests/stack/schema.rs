//! The published JSON Schema: current, and of one mind with the parser.

mod validator;

use std::{fs, path::Path};

use mesh_proxy::config::{SidecarConfig, schema};
use serde_json::Value;
use validator::Validator;

const HEAD: &str = "
service: orders
instance: orders-1
admin: 127.0.0.1:0
metrics: '[::1]:0'
";

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
}

#[test]
fn the_published_schema_is_current() {
    let path = docs().join("mesh-proxy.schema.json");
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == format!("{}\n", schema()),
        "it is stale: cargo run -p mesh-proxy -- schema > docs/mesh-proxy.schema.json"
    );
}

/// Every block of YAML in the manual that is a whole configuration.
fn examples() -> Vec<(String, String)> {
    let pages = fs::read_dir(docs())
        .unwrap()
        .map(|page| page.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|kind| kind == "md"));
    pages
        .flat_map(|page| {
            let text = fs::read_to_string(&page).unwrap();
            let blocks = text.split("```yaml\n").skip(1);
            let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
            let name = page.display().to_string();
            blocks
                .map(move |block| (name.clone(), block))
                .collect::<Vec<_>>()
        })
        .filter(|(_, block)| block.lines().any(|line| line.starts_with("instance:")))
        .collect()
}

#[test]
fn every_example_of_the_manual_is_valid() {
    let validator = Validator::of(&schema());
    let examples = examples();
    assert!(!examples.is_empty());
    for (page, yaml) in examples {
        let value: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(validator.complaint(&value), None, "{page}");
        SidecarConfig::parse(&yaml).unwrap_or_else(|error| panic!("{page}: {error}"));
    }
}

/// Both accept it, or both refuse it.
fn agree(yaml: &str, wanted: bool) {
    let yaml = format!("{HEAD}{yaml}");
    let value: Value = serde_saphyr::from_str(&yaml).unwrap();
    let complaint = Validator::of(&schema()).complaint(&value);
    assert_eq!(complaint.is_none(), wanted, "schema: {yaml} {complaint:?}");
    let parsed = SidecarConfig::parse(&yaml);
    assert_eq!(parsed.is_ok(), wanted, "parser: {yaml} {parsed:?}");
}

fn cluster(settings: &str) -> String {
    format!("policy: {{ clusters: {{ a: {{ endpoints: ['a:1'], {settings} }} }} }}")
}

fn route(settings: &str) -> String {
    format!("policy: {{ routes: [{{ name: a, cluster: a, {settings} }}] }}")
}

fn rule(settings: &str) -> String {
    format!("policy: {{ chaos: [{{ id: a, {settings} }}] }}")
}

#[test]
fn schema_and_parser_accept_the_same() {
    for yaml in [
        String::new(),
        "control: http://c:1\ntelemetry: { sample_ratio: 1 }".to_owned(),
        "inbound: { listen: '0.0.0.0:1', application: '[fe80::1%2]:2', tls: null }".to_owned(),
        cluster("balance: round-robin"),
        cluster("balance: { consistent-hash: { header: x } }, idle_timeout: 1m 30s"),
        cluster("health_check: { http: /health, interval: 2s }"),
        cluster("health_check: { tcp: true }, ejection: '0'"),
        cluster("dns: { name: a, record: srv, server: '10.0.0.1:53' }"),
        route("match: { path_prefix: /a }, retry: { on: [5xx], replay: 1MiB }"),
        route("attempt_timeout: null, max_body: 10 KiB, deadline: 2seconds"),
        rule("where: a -> b, for: 5m, abort: 503"),
    ] {
        agree(&yaml, true);
    }
}

#[test]
fn schema_and_parser_refuse_the_same() {
    for yaml in [
        "contrl: http://c:1".to_owned(),
        "workers: -1".to_owned(),
        "inbound: { listen: 'localhost:1', application: '127.0.0.1:2' }".to_owned(),
        "outbound: { listen: '127.0.0.1' }".to_owned(),
        cluster("balance: roundrobin"),
        cluster("balance: { consistent-hash: {} }"),
        cluster("idle_timeout: 30"),
        cluster("idle_timeout: 30 parsecs"),
        cluster("health_check: { interval: 2s }"),
        cluster("health_check: { http: /health, intervall: 2s }"),
        cluster("consecutive_failures: 1.5"),
        route("matches: {}"),
        route("retry: { on: [6xx] }"),
        route("retry: { statuses: [70000] }"),
        route("max_body: 64KB"),
        rule("place: a, abort: 503"),
        rule("where: a, abort: five"),
        rule("abort: 503"),
    ] {
        agree(&yaml, false);
    }
}
