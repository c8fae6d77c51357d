//! The pages as Prometheus's own linter and the catalog see them.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use mesh_telemetry::catalog::{Kind, METRICS, Metric};

/// Runs `promtool check metrics` where it is installed; the catalog's own tests and
/// [`hold_against_catalog`] need only Rust.
pub(crate) fn lint(page: &str) {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else { return };
    let mut input = promtool.stdin.take().expect("it is piped");
    input.write_all(page.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}\n{page}");
}

/// Every series on the page is in the catalog, with exactly its labels; returns
/// the metrics that are there.
pub(crate) fn hold_against_catalog(page: &str) -> BTreeSet<&'static str> {
    let series = page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    series.map(|line| check(line).name).collect()
}

fn check(line: &str) -> &'static Metric {
    let end = line.find(['{', ' ']).expect("a name ends");
    let name = &line[..end];
    let metric = METRICS.iter().find(|metric| {
        let histogram = metric.kind == Kind::Histogram;
        let part = |suffix| name.strip_suffix(suffix) == Some(metric.name);
        metric.name == name || histogram && ["_bucket", "_sum", "_count"].into_iter().any(part)
    });
    let metric = metric.unwrap_or_else(|| panic!("`{name}` is not in the catalog"));
    let labels = line[end..]
        .rsplit_once('}')
        .map_or("", |(labels, _)| &labels[1..]);
    let names = labels
        .split("\",")
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, _)| key);
    let names: Vec<_> = names.filter(|name| *name != "le").collect();
    assert_eq!(names, metric.labels, "labels of {line}");
    metric
}
