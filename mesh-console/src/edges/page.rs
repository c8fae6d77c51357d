//! One sidecar's page, summed up by edge.

use std::collections::BTreeMap;

use super::{
    EdgeKey,
    exposition::{Sample, samples},
    histogram::Buckets,
};
use crate::names::metric;

/// Which side counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The called's sidecar.
    Inbound,
    /// The caller's sidecar.
    Outbound,
}

/// Counters of one edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) requests: f64,
    pub(super) failed: f64,
    pub(super) attempts: f64,
    pub(super) failed_attempts: f64,
    pub(super) retries: f64,
    pub(super) faults: f64,
    pub(super) buckets: Buckets,
}

/// Everything that the console reads on a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) edges: BTreeMap<EdgeKey, Totals>,
    /// Faults by rule.
    pub(super) rules: BTreeMap<String, f64>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self::default();
        for sample in samples(text, |name| name.starts_with("mesh_")) {
            if sample.value.is_finite() && sample.value >= 0.0 {
                page.take(&sample);
            }
        }
        page
    }

    fn take(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        match sample.name {
            metric::REQUESTS => {
                let failed = is_failure(sample);
                let edge = self.edge(side(sample), sample);
                edge.requests += value;
                edge.failed += if failed { value } else { 0.0 };
            }
            metric::ATTEMPTS => {
                let failed = is_failure(sample);
                let edge = self.edge(Side::Outbound, sample);
                edge.attempts += value;
                edge.failed_attempts += if failed { value } else { 0.0 };
            }
            metric::RETRIES => self.edge(Side::Outbound, sample).retries += value,
            metric::FAULTS => {
                self.edge(Side::Outbound, sample).faults += value;
                let rule = sample.label("rule").to_owned();
                *self.rules.entry(rule).or_default() += value;
            }
            name if name.strip_suffix("_bucket") == Some(metric::DURATION) => {
                if let Ok(bound) = sample.label("le").parse() {
                    self.edge(side(sample), sample).buckets.add(bound, value);
                }
            }
            _ => {}
        }
    }

    fn edge(&mut self, side: Side, sample: &Sample<'_>) -> &mut Totals {
        let source = sample.label("source").to_owned();
        let destination = sample.label("destination").to_owned();
        self.edges.entry((side, source, destination)).or_default()
    }

    /// What was counted since an older page of the same process.
    pub(super) fn since(mut self, old: &Self) -> Self {
        for (key, totals) in &mut self.edges {
            if let Some(old) = old.edges.get(key) {
                totals.subtract(old);
            }
        }
        for (rule, count) in &mut self.rules {
            *count = growth(*count, old.rules.get(rule).copied().unwrap_or(0.0));
        }
        self
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.attempts += other.attempts;
        self.failed_attempts += other.failed_attempts;
        self.retries += other.retries;
        self.faults += other.faults;
        self.buckets.add_all(&other.buckets);
    }

    fn subtract(&mut self, old: &Self) {
        self.requests = growth(self.requests, old.requests);
        self.failed = growth(self.failed, old.failed);
        self.attempts = growth(self.attempts, old.attempts);
        self.failed_attempts = growth(self.failed_attempts, old.failed_attempts);
        self.retries = growth(self.retries, old.retries);
        self.faults = growth(self.faults, old.faults);
        self.buckets.subtract(&old.buckets);
    }
}

/// Growth of a counter; one that fell began anew at zero.
pub(super) fn growth(new: f64, old: f64) -> f64 {
    if new >= old { new - old } else { new }
}

fn side(sample: &Sample<'_>) -> Side {
    if sample.label("direction") == "inbound" {
        Side::Inbound
    } else {
        Side::Outbound
    }
}

/// An answer from 500 up, or none at all, which has no three-digit code. A
/// caller that went away (499) failed nobody.
fn is_failure(sample: &Sample<'_>) -> bool {
    let code = sample.label("response_code").parse::<u16>();
    !code.is_ok_and(|code| (100..500).contains(&code))
}
