//! Handles of the catalog's metrics, and the recorder behind them.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{OnceLock, PoisonError, RwLock},
};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::{
    TelemetryError,
    catalog::{Kind, METRICS, Metric},
};

const METADATA: Metadata<'static> =
    Metadata::new("mesh_telemetry", Level::INFO, Some("mesh_telemetry"));

/// Key of one series: the metric's labels with these values, in the table's order.
fn key(metric: &'static Metric, values: &[&str]) -> Key {
    debug_assert_eq!(
        metric.labels.len(),
        values.len(),
        "labels of {}",
        metric.name
    );
    let labels: Vec<Label> = metric
        .labels
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let value = SharedString::from_owned((*value).to_owned());
            Label::new(*name, value)
        })
        .collect();
    Key::from_parts(metric.name, labels)
}

/// A handle on one series; it exists, at 0, from now on.
pub(crate) fn counter(metric: &'static Metric, values: &[&str]) -> Counter {
    debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
    metrics::with_recorder(|to| to.register_counter(&key(metric, values), &METADATA))
}

/// A handle on one series; it exists from now on.
pub(crate) fn gauge(metric: &'static Metric, values: &[&str]) -> Gauge {
    debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
    metrics::with_recorder(|to| to.register_gauge(&key(metric, values), &METADATA))
}

/// A handle on one series.
pub(crate) fn histogram(metric: &'static Metric, values: &[&str]) -> Histogram {
    debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
    metrics::with_recorder(|to| to.register_histogram(&key(metric, values), &METADATA))
}

/// Handles by a small key, made when the key is first seen: labels are formatted
/// once, not per request. The lock is never held across an await.
pub(crate) struct Kept<K, H>(RwLock<HashMap<K, H>>);

impl<K, H> Default for Kept<K, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, H: Clone> Kept<K, H> {
    /// The handle of `key`; `make` registers it when it is new.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> H) -> H {
        let read = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = read.get(&key) {
            return handle.clone();
        }
        drop(read);
        let mut write = self.0.write().unwrap_or_else(PoisonError::into_inner);
        write.entry(key).or_insert_with(make).clone()
    }
}

/// A recorder with the catalog's buckets.
pub(crate) fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS.iter().filter(|metric| !metric.buckets.is_empty()) {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets)
            .expect("the table's buckets are not empty");
    }
    builder.build_recorder()
}

/// Tells the current recorder the help text of every metric.
pub(crate) fn describe() {
    // metrics-process knows its own names; the table's help texts replace its.
    metrics_process::Collector::default().describe();
    metrics::with_recorder(|to| {
        for metric in METRICS {
            let (name, unit) = (metric.name.into(), unit(metric.unit));
            match metric.kind {
                Kind::Counter => to.describe_counter(name, unit, metric.help.into()),
                Kind::Gauge => to.describe_gauge(name, unit, metric.help.into()),
                Kind::Histogram => to.describe_histogram(name, unit, metric.help.into()),
            }
        }
    });
}

fn unit(name: &str) -> Option<Unit> {
    match name {
        "seconds" => Some(Unit::Seconds),
        "bytes" => Some(Unit::Bytes),
        _ => None,
    }
}

/// The process's recorder: installed by the first caller, shared by all others,
/// because a process has one.
pub(crate) fn install() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        Some(handle)
    });
    handle.clone().ok_or(TelemetryError::Recorder)
}

#[cfg(test)]
mod tests {
    use super::{Kept, counter, describe, recorder};
    use crate::catalog;

    #[test]
    fn a_counter_is_there_before_it_counts() {
        let recorder = recorder();
        let page = metrics::with_local_recorder(&recorder, || {
            describe();
            counter(&catalog::SPANS, &["exported"]).increment(0);
            recorder.handle().render()
        });
        assert!(
            page.contains("mesh_telemetry_spans_total{result=\"exported\"} 0"),
            "{page}"
        );
        assert!(
            page.contains("# HELP mesh_telemetry_spans_total Spans that"),
            "{page}"
        );
    }

    #[test]
    fn a_handle_is_made_once() {
        let kept = Kept::default();
        assert_eq!(kept.get(1, || "first"), "first");
        assert_eq!(kept.get(1, || "second"), "first");
    }
}
