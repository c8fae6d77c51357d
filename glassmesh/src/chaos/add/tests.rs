use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    add: AddArgs,
}

fn try_parse(words: &[&str]) -> Result<Rule, String> {
    let cli = Cli::try_parse_from([&["add"], words].concat());
    cli.map_err(|error| error.to_string())?.add.rule()
}

fn parse(words: &[&str]) -> Rule {
    try_parse(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn yaml_rule(text: &str) -> Rule {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Flags beside `add payments --id a`, and the lines of YAML that say the same.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["--delay", "normal:200ms:50ms"],
        "delay: normal:200ms:50ms",
    ),
    (&["--chunk-delay", "20ms"], "chunk_delay: 20ms"),
    (&["--abort", "503"], "abort: 503"),
    (&["--abort", "grpc:UNAVAILABLE"], "abort: grpc:UNAVAILABLE"),
    (
        &[
            "--abort",
            "503",
            "--abort-body",
            "sorry",
            "--abort-type",
            "text/html",
        ],
        "abort: { status: 503, body: sorry, content_type: text/html }",
    ),
    (
        &["--abort", "grpc:ABORTED", "--abort-body", "again"],
        "abort: { grpc: ABORTED, message: again }",
    ),
    (&["--reset"], "reset: true"),
    (&["--hang"], "hang: true"),
    (&["--refuse"], "refuse: true"),
    (&["--throttle", "10KiB/s"], "throttle: 10KiB/s"),
    (&["--truncate", "100B"], "truncate: 100B"),
    (&["--corrupt", "64B"], "corrupt: 64B"),
    (
        &[
            "--set-request-header",
            "x-a=b=c",
            "--add-request-header",
            "x-b=d",
            "--remove-request-header",
            "x-c",
        ],
        "request_headers: { set: { x-a: b=c }, add: { x-b: d }, remove: [x-c] }",
    ),
    (
        &[
            "--set-response-header",
            "x-a=b",
            "--add-response-header",
            "x-b=d",
            "--remove-response-header",
            "x-c",
        ],
        "response_headers: { set: { x-a: b }, add: { x-b: d }, remove: [x-c] }",
    ),
    (
        &[
            "--hang",
            "--delay",
            "1s",
            "--percent",
            "30%",
            "--percent-of",
            "delay=50",
        ],
        "{ hang: true, delay: 1s, percent: 30, percent_of: { delay: 50 } }",
    ),
    (
        &["--chunk-delay", "1ms", "--percent-of", "chunk-delay=5"],
        "{ chunk_delay: 1ms, percent_of: { chunk_delay: 5 } }",
    ),
    (
        &["--hang", "--method", "get,POST"],
        "{ hang: true, match: { methods: [GET, POST] } }",
    ),
    (
        &["--hang", "--path", "/a"],
        "{ hang: true, match: { path: /a } }",
    ),
    (
        &["--hang", "--path-prefix", "/a"],
        "{ hang: true, match: { path_prefix: /a } }",
    ),
    (
        &["--hang", "--path-template", "/a/{id}"],
        "{ hang: true, match: { path_template: '/a/{id}' } }",
    ),
    (
        &["--hang", "--path-regex", "/a.*"],
        "{ hang: true, match: { path_regex: '/a.*' } }",
    ),
    (
        &["--hang", "--route", "to-a"],
        "{ hang: true, match: { route: to-a } }",
    ),
    (
        &["--hang", "--caller", "orders"],
        "{ hang: true, match: { callers: [orders] } }",
    ),
    (
        &[
            "--hang",
            "--header",
            "x-user=ann",
            "--header",
            "x-b^=c",
            "--header",
            "!x-d~=e.*",
            "--header",
            "x-f",
        ],
        "{ hang: true, match: { headers: [{ name: x-user, exact: ann }, { name: x-b, prefix: c }, \
         { name: x-d, regex: 'e.*', invert: true }, { name: x-f }] } }",
    ),
    (
        &["--hang", "--baggage", "tester=ann"],
        "{ hang: true, match: { baggage: [{ name: tester, exact: ann }] } }",
    ),
    (&["--hang", "--armed"], "{ hang: true, arm: baggage }"),
    (
        &["--hang", "--position", "request"],
        "{ hang: true, position: request }",
    ),
    (
        &[
            "--hang",
            "--first-attempts",
            "2",
            "--first-requests",
            "10",
            "--max-affected",
            "5",
        ],
        "{ hang: true, first_attempts: 2, first_requests: 10, max_affected: 5 }",
    ),
    (&["--hang", "--for", "2m"], "{ hang: true, for: 2m }"),
    (
        &[
            "--hang", "--after", "10s", "--on", "5s", "--off", "15s", "--ramp", "1m",
        ],
        "{ hang: true, schedule: { after: 10s, on: 5s, off: 15s, ramp: 1m } }",
    ),
    (
        &[
            "--hang",
            "--guard",
            "gateway -> orders=95",
            "--guard-min-requests",
            "50",
        ],
        "{ hang: true, guard: { watch: gateway -> orders, min_success: 95, min_requests: 50 } }",
    ),
    (
        &["--hang", "--guard", "orders=99.5%"],
        "{ hang: true, guard: { watch: orders, min_success: 99.5 } }",
    ),
    (
        &[
            "--hang",
            "--seed",
            "7",
            "--description",
            "all wait",
            "--disabled",
        ],
        "{ hang: true, seed: 7, description: all wait, enabled: false }",
    ),
];

#[test]
fn every_flag_says_what_a_line_of_yaml_says() {
    for (flags, text) in FLAGS {
        let rule = parse(&[&["payments", "--id", "a"], *flags].concat());
        let fields = text.trim_start_matches('{').trim_end_matches('}');
        let fields = if text.starts_with('{') { fields } else { text };
        let wanted = yaml_rule(&format!("{{ id: a, where: payments, {fields} }}"));
        assert_eq!(rule, wanted, "{flags:?}");
    }
}

/// A field of the schema without a flag would make the command line a second one.
#[test]
fn the_flags_reach_every_field_of_a_rule() {
    let every: Vec<&str> = FLAGS.iter().map(|(_, text)| *text).collect();
    let every = every.join("\n");
    let schema: serde_json::Value = serde_json::from_str(&mesh_proxy::config::schema()).unwrap();
    for part in [
        "Rule",
        "RuleMatch",
        "Schedule",
        "Guard",
        "HeaderChanges",
        "FieldMatch",
    ] {
        let fields = schema["$defs"][part]["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{part}"));
        for field in fields.keys() {
            let known = every.contains(&format!("{field}:"));
            let elsewhere = ["id", "where", "expires_at_ms"].contains(&field.as_str());
            assert!(known || elsewhere, "no flag for {part}.{field}");
        }
    }
}

#[test]
fn a_rule_needs_a_fault_within_bounds() {
    for words in [
        &["payments"] as &[&str],
        &["--hang"],
        &["payments", "--abort", "200"],
        &["payments", "--abort", "503", "--percent", "101"],
        &["payments", "--delay", "200"],
        &["payments", "--hang", "--path", "/a", "--path-prefix", "/b"],
        &["payments", "--hang", "--header", "=a"],
        &["payments", "--hang", "--guard", "orders"],
        &["payments", "--hang", "--guard-min-requests", "1"],
        &["payments", "--hang", "--abort-body", "x"],
        &[
            "payments",
            "--abort",
            "grpc:ABORTED",
            "--abort-body",
            "x",
            "--abort-type",
            "y",
        ],
        &["payments", "--hang", "--percent-of", "dely=3"],
        &["--file", "/no/such/file"],
    ] {
        assert!(try_parse(words).is_err(), "{words:?}");
    }
}

#[test]
fn a_file_is_a_rule_and_flags_overrule_it() {
    let file = std::env::temp_dir().join(format!("glassmesh-rule-{}.yaml", std::process::id()));
    let text = "{ id: a, where: payments, abort: 503, percent: 30, match: { path: /x } }";
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    assert_eq!(parse(&["--file", name]), yaml_rule(text));
    let over = parse(&[
        "orders",
        "--file",
        name,
        "--percent",
        "5",
        "--path-prefix",
        "/y",
        "--abort-body",
        "no",
    ]);
    let wanted = "{ id: a, where: orders, abort: { status: 503, body: no }, percent: 5, match: { path_prefix: /y } }";
    assert_eq!(over, yaml_rule(&wanted.replace("body: no", "body: 'no'")));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_a_dry_run_prints_is_the_rule_again() {
    for (flags, _) in FLAGS {
        let rule = parse(&[&["orders -> payments", "--id", "a"], *flags].concat());
        let yaml = yaml(&rule).unwrap();
        assert!(!yaml.contains("null"), "{yaml}");
        assert_eq!(yaml_rule(&yaml), rule, "{yaml}");
    }
}

#[test]
fn what_is_wrong_in_every_mesh_is_found_without_one() {
    let found = problems(&parse(&[
        "payments",
        "--hang",
        "--id",
        "Not an id",
        "--for",
        "0s",
    ]));
    assert!(
        found.iter().any(|problem| problem.starts_with("id: ")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|problem| problem.starts_with("for: ")),
        "{found:?}"
    );
}

#[test]
fn help_is_grouped() {
    use clap::CommandFactory as _;
    let help = Cli::command().render_long_help().to_string();
    let headings = [
        "Faults (",
        "Which requests (",
        "When:",
        "The rule itself:",
        "Output and console:",
    ];
    let places: Vec<usize> = headings
        .iter()
        .map(|heading| {
            help.find(heading)
                .unwrap_or_else(|| panic!("{heading} in {help}"))
        })
        .collect();
    assert!(places.is_sorted(), "{help}");
    let between = |flag: &str, from: usize, to: usize| {
        let at = help
            .find(&format!("\n      --{flag} "))
            .unwrap_or_else(|| panic!("{flag}"));
        assert!(
            (places[from]..places[to]).contains(&at),
            "--{flag} stands elsewhere: {help}"
        );
    };
    between("delay", 0, 1);
    between("percent-of", 0, 1);
    between("method", 1, 2);
    between("ramp", 2, 3);
    between("seed", 3, 4);
}
