//! The catalog for people: `docs/telemetry.md`.

use std::fmt::Write as _;

use super::{LABELS, METRICS, Metric};

/// What stands above the tables.
const INTRODUCTION: &str = "\
# Metrics

Generated from `mesh-telemetry/src/catalog.rs`; renew it with
`cargo run -p mesh-telemetry --example catalog > docs/telemetry.md`.

Sidecars expose `mesh_*`, services `http_*`, `db_*` and `shop_*`, every process
`process_*` and `mesh_build_info`. The names of service and instance come from
the scrape. Every label below is always present.

A scraper that prefers OpenMetrics gets it, with exemplars that lead from a bucket to a
trace: see [exemplars.md](exemplars.md). How spans travel is in [tracing.md](tracing.md).
";

/// The text of `docs/telemetry.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n| metric | kind | unit | labels | means |\n| --- | --- | --- | --- | --- |\n");
    for metric in METRICS {
        row(&mut text, metric);
    }
    text.push_str("\n## Buckets\n\n| histogram | upper bounds |\n| --- | --- |\n");
    for metric in METRICS.iter().filter(|metric| !metric.buckets.is_empty()) {
        let bounds: Vec<_> = metric.buckets.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "| `{}` | {} |", metric.name, bounds.join(", "));
    }
    text.push_str("\n## Labels\n\n| label | values |\n| --- | --- |\n");
    for label in LABELS {
        let _ = writeln!(text, "| `{}` | {} |", label.name, label.values);
    }
    text
}

fn row(text: &mut String, metric: &Metric) {
    let labels: Vec<_> = metric
        .labels
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let labels = if labels.is_empty() {
        "–".to_owned()
    } else {
        labels.join(", ")
    };
    let _ = writeln!(
        text,
        "| `{}` | {} | {} | {} | {} |",
        metric.name,
        metric.kind.as_str(),
        metric.unit,
        labels,
        metric.help
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == super::markdown(),
            "docs/telemetry.md is stale: cargo run -p mesh-telemetry --example catalog > docs/telemetry.md"
        );
    }
}
