//! The last traces of a series: what a dot on a chart leads to.
//!
//! The recorder knows no exemplars, so they are kept here, beside it: one trace a
//! bucket of a histogram's series, one a counter's. Nothing here is on the request
//! path. A sidecar's and a service's exporter writes them once the collector has
//! taken the spans, so that a dot leads to a trace which somebody holds; the page
//! reads them when a scraper asks for OpenMetrics. What they take is bounded by the
//! series, which come from configuration, times their buckets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use metrics_exporter_prometheus::formatting::sanitize_label_value;
use opentelemetry::trace::{SpanId, TraceId};

use crate::catalog::Metric;

/// One observation and the span it was made in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    /// The trace.
    pub(crate) trace_id: TraceId,
    /// The span.
    pub(crate) span_id: SpanId,
    /// What was observed: of a counter by how much it grew.
    pub(crate) value: f64,
    /// When.
    pub(crate) at: SystemTime,
}

/// The exemplars of one series.
#[derive(Debug)]
pub(crate) struct Exemplars {
    bounds: &'static [f64],
    /// One a bucket, `+Inf` last; a counter has only that one.
    last: Mutex<Box<[Option<Exemplar>]>>,
}

impl Exemplars {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            last: Mutex::new(vec![None; bounds.len() + 1].into()),
        }
    }

    /// The newest observation of a bucket stands.
    pub(crate) fn put(&self, exemplar: Exemplar) {
        let bucket = self.bucket(exemplar.value);
        let last = &mut self.lock()[bucket];
        if last.is_none_or(|known| known.at <= exemplar.at) {
            *last = Some(exemplar);
        }
    }

    /// The exemplar of the bucket that ends at `bound`; of a counter for any number.
    pub(crate) fn get(&self, bound: f64) -> Option<Exemplar> {
        self.lock()[self.bucket(bound)]
    }

    fn bucket(&self, value: f64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Option<Exemplar>]>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An observation that becomes an exemplar when its span has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Where it belongs.
    pub(crate) series: Arc<Exemplars>,
    /// What it is.
    pub(crate) exemplar: Exemplar,
}

impl Pending {
    /// The span has arrived.
    pub(crate) fn settle(self) {
        self.series.put(self.exemplar);
    }
}

/// Of the process, like the recorder: metric → labels as they stand on the page.
type All = HashMap<&'static str, HashMap<String, Arc<Exemplars>>>;
static ALL: Mutex<Option<All>> = Mutex::new(None);

fn all() -> MutexGuard<'static, Option<All>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The exemplars of the series with these labels; they are there from now on.
pub(crate) fn series(metric: &'static Metric, values: &[&str]) -> Arc<Exemplars> {
    let mut all = all();
    let of_metric = all.get_or_insert_default().entry(metric.name).or_default();
    let new = || Arc::new(Exemplars::new(metric.buckets));
    Arc::clone(of_metric.entry(labels(metric, values)).or_insert_with(new))
}

/// The same for a series of the page, if it has any; `labels` as the page has them,
/// without braces.
pub(crate) fn find(metric: &str, labels: &str) -> Option<Arc<Exemplars>> {
    all().as_ref()?.get(metric)?.get(labels).cloned()
}

/// As the recorder writes them.
fn labels(metric: &Metric, values: &[&str]) -> String {
    let pair =
        |(name, value): (&&str, &&str)| format!("{name}=\"{}\"", sanitize_label_value(value));
    let pairs: Vec<_> = metric.labels.iter().zip(values).map(pair).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Exemplar, Exemplars, SpanId, TraceId};

    fn exemplar(value: f64, second: u64) -> Exemplar {
        Exemplar {
            trace_id: TraceId::from(u128::from(second) + 1),
            span_id: SpanId::from(second + 1),
            value,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        }
    }

    #[test]
    fn every_bucket_keeps_its_newest() {
        let series = Exemplars::new(&[0.1, 1.0]);
        for (value, second) in [(0.1, 1), (0.05, 3), (0.07, 2), (0.5, 1), (7.0, 1)] {
            series.put(exemplar(value, second));
        }
        assert_eq!(series.get(0.1), Some(exemplar(0.05, 3)));
        assert_eq!(series.get(1.0), Some(exemplar(0.5, 1)));
        assert_eq!(series.get(f64::INFINITY), Some(exemplar(7.0, 1)));
    }

    #[test]
    fn a_counter_has_one() {
        let series = Exemplars::new(&[]);
        assert_eq!(series.get(12.0), None);
        series.put(exemplar(1.0, 1));
        assert_eq!(series.get(12.0), Some(exemplar(1.0, 1)));
    }
}
