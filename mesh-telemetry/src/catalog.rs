//! Every metric, in one flat table.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name as Prometheus reads it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Unit, as `seconds`.
    pub unit: &'static str,
    /// Labels, all of them always present.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// Every metric.
pub static METRICS: &[Metric] = &[];
