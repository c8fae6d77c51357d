//! The plain page as OpenMetrics text, with exemplars.
//!
//! The two formats differ in little: counters are called without `_total` where they
//! are described, units stand on a line of their own, bounds of buckets are written as
//! fractions, blank lines are not allowed, and the end is said. Rewriting what the
//! recorder renders line by line keeps one source for both pages.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    catalog::{Kind, METRICS, Metric},
    exemplar::{self, Exemplar},
};

/// Units that names end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// The page in the other format.
pub(super) fn of(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len() + plain.len() / 4);
    let mut metric = None;
    for line in plain.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            describe(&mut text, "HELP", rest);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            metric = describe(&mut text, "TYPE", rest);
            unit(&mut text, metric);
        } else {
            sample(&mut text, metric, line);
        }
    }
    text.push_str("# EOF\n");
    text
}

/// A line about a metric; says which.
fn describe(text: &mut String, what: &str, rest: &str) -> Option<&'static Metric> {
    let (name, said) = rest.split_once(' ')?;
    push(text, format_args!("# {what} {} {said}\n", family(name)));
    METRICS.iter().find(|metric| metric.name == name)
}

fn unit(text: &mut String, metric: Option<&Metric>) {
    let Some(metric) = metric else { return };
    if UNITS.contains(&metric.unit) && family(metric.name).ends_with(metric.unit) {
        let (name, unit) = (family(metric.name), metric.unit);
        push(text, format_args!("# UNIT {name} {unit}\n"));
    }
}

/// A metric's name without what its samples add to it.
fn family(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

fn sample(text: &mut String, metric: Option<&Metric>, line: &str) {
    match metric.map(|metric| (metric.kind, metric)) {
        Some((Kind::Histogram, metric)) => match bucket(metric, line) {
            Some(found) => found.write(text, metric, line),
            None => text.push_str(line),
        },
        Some((Kind::Counter, metric)) => {
            text.push_str(line);
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once("} "));
            add(
                text,
                metric,
                labels.map_or("", |(labels, _)| labels),
                f64::INFINITY,
            );
        }
        Some((Kind::Gauge, _)) | None => text.push_str(line),
    }
    text.push('\n');
}

/// A line of a histogram's bucket in its parts: `name_bucket{labels,le="bound"} count`.
struct Bucket<'a> {
    labels: &'a str,
    bound: &'a str,
    count: &'a str,
}

fn bucket<'a>(metric: &Metric, line: &'a str) -> Option<Bucket<'a>> {
    let rest = line.strip_prefix(metric.name)?.strip_prefix("_bucket{")?;
    let (labels, rest) = rest.rsplit_once("le=\"")?;
    let (bound, count) = rest.split_once("\"} ")?;
    let labels = labels.strip_suffix(',').unwrap_or(labels);
    Some(Bucket {
        labels,
        bound,
        count,
    })
}

impl Bucket<'_> {
    fn write(&self, text: &mut String, metric: &Metric, line: &str) {
        let Self {
            labels,
            bound,
            count,
        } = self;
        // Everything up to the bound is as it was.
        let start = line.len() - count.len() - "\"} ".len() - bound.len();
        let whole = bound.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = if whole { ".0" } else { "" };
        push(
            text,
            format_args!("{}{bound}{fraction}\"}} {count}", &line[..start]),
        );
        add(text, metric, labels, bound.parse().unwrap_or(f64::INFINITY));
    }
}

/// The exemplar of a sample, if there is one.
fn add(text: &mut String, metric: &Metric, labels: &str, bound: f64) {
    let found = exemplar::find(metric.name, labels);
    let Some(Exemplar {
        trace_id,
        span_id,
        value,
        at,
    }) = found.and_then(|series| series.get(bound))
    else {
        return;
    };
    let at = seconds(at);
    push(
        text,
        format_args!(" # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {at:.3}"),
    );
}

/// 0 for a clock before 1970.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what); // a string takes everything
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        catalog,
        exemplar::Exemplars,
        register::{counter, describe as describe_all, gauge, histogram, recorder},
    };

    fn exemplar(value: f64) -> Exemplar {
        Exemplar {
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.into(),
            span_id: 0x00f0_67aa_0ba9_02b7_u64.into(),
            value,
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_042),
        }
    }

    fn rendered(fill: impl FnOnce()) -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_all();
            fill();
            of(&recorder.handle().render())
        })
    }

    const SPAN: &str = "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",\
                        span_id=\"00f067aa0ba902b7\"}";

    #[test]
    fn a_histogram_has_its_unit_and_the_exemplar_of_the_right_bucket() {
        // Labels no other test uses: exemplars belong to the process.
        let labels = ["to \"x\",le=\"1\"} 2", "b\\c", "2xx"];
        let text = rendered(|| {
            histogram(&catalog::ATTEMPT_DURATION, &labels).record(0.7);
            exemplar::series(&catalog::ATTEMPT_DURATION, &labels).put(exemplar(0.7));
        });
        let start = "mesh_attempt_duration_seconds_bucket{source=\"to \\\"x\\\",le=\\\"1\\\"} 2\",\
                     destination=\"b\\\\c\",response_class=\"2xx\",le=";
        let expected = [
            format!("{start}\"0.5\"}} 0"),
            format!("{start}\"0.75\"}} 1 {SPAN} 0.7 1700000000.042"),
            format!("{start}\"1.0\"}} 1"),
            format!("{start}\"2.5\"}} 1"),
        ];
        for line in expected {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
        assert!(text.contains(
            "# TYPE mesh_attempt_duration_seconds histogram\n\
             # UNIT mesh_attempt_duration_seconds seconds\n"
        ));
        assert_eq!(text.matches(SPAN).count(), 1, "{text}");
    }

    #[test]
    fn a_counter_is_described_without_total() {
        let labels = ["openmetrics", "abort", "orders", "payments"];
        let text = rendered(|| {
            counter(&catalog::FAULTS, &labels).increment(3);
            exemplar::series(&catalog::FAULTS, &labels).put(exemplar(1.0));
            counter(&catalog::CONFIG_REJECTED, &[]).increment(1);
            gauge(&catalog::CONFIG_REVISION, &[]).set(2.0);
        });
        for line in [
            &format!("# HELP mesh_faults_injected {}", catalog::FAULTS.help),
            "# TYPE mesh_faults_injected counter",
            &format!(
                "mesh_faults_injected_total{{rule=\"openmetrics\",fault=\"abort\",\
                 source=\"orders\",destination=\"payments\"}} 3 {SPAN} 1 1700000000.042"
            ),
            "mesh_config_rejected_total 1",
            "# TYPE mesh_config_revision gauge",
            "mesh_config_revision 2",
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn the_end_is_said_once_and_no_line_is_blank() {
        for text in [
            rendered(|| counter(&catalog::CONFIG_REJECTED, &[]).increment(1)),
            of(""),
        ] {
            assert!(text.ends_with("# EOF\n"), "{text}");
            assert_eq!(text.matches("# EOF").count(), 1, "{text}");
            assert!(text.lines().all(|line| !line.is_empty()), "{text}");
        }
    }

    /// Not a benchmark: a bound that only a change of kind would break.
    #[test]
    fn exemplars_are_found_in_a_page_of_a_thousand_series() {
        let mut stores: Vec<std::sync::Arc<Exemplars>> = Vec::new();
        let text = rendered(|| {
            for number in 0..1000 {
                let name = format!("many-{number}");
                let labels = [name.as_str(), "payments", "2xx"];
                histogram(&catalog::ATTEMPT_DURATION, &labels).record(0.01);
                stores.push(exemplar::series(&catalog::ATTEMPT_DURATION, &labels));
            }
            for store in &stores {
                store.put(exemplar(0.01));
            }
        });
        assert_eq!(text.matches(SPAN).count(), 1000);
    }
}
