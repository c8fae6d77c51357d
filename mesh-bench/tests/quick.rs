//! The benchmark works: everybody that mesh-proxy stands for here answers all requests,
//! and every span comes. How fast is no matter of a test.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn every_request_is_answered_and_every_span_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let run = Command::new(env!("CARGO_BIN_EXE_mesh-bench"))
        .args([
            "--quick", "plain", "all-100", "two-hops", "rate", "back-end",
        ])
        // As built for this test: a mesh-proxy beside it may be of another day.
        .args(["--mesh-proxy", env!("CARGO_BIN_EXE_mesh-bench")])
        .args(["--json", json.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success(), "{said}");
    let figures = std::fs::read_to_string(json).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    let tables = figures["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 5, "{said}");
    for table in tables {
        let rows = table["rows"].as_array().unwrap();
        let costs = rows.iter().filter_map(|row| row["cpu_us"][0].as_f64());
        assert!(costs.clone().count() > 0, "{said}");
        assert!(costs.min_by(f64::total_cmp) > Some(1.0), "{said}");
    }
}
