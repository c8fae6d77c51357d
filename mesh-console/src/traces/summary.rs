//! A trace in one line.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use serde::Deserialize;

use super::{Trace, TraceId, TraceStore, tree};
use crate::{api::TraceSummary, hex};

/// From how many traces of a kind on "slow" can be said of one.
const ENOUGH: usize = 20;

/// A summary, once it was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Cached(OnceLock<Arc<TraceSummary>>);

/// Which traces a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Filter {
    /// Every trace.
    #[default]
    All,
    /// The root failed.
    Failed,
    /// A chaos rule hit it.
    Faulted,
    /// It has attempts beyond the first.
    Retried,
    /// It is among the slowest twentieth of the traces with its root.
    Slow,
}

impl Trace {
    pub(crate) fn summary(&self, id: &TraceId) -> Arc<TraceSummary> {
        Arc::clone(self.summary.0.get_or_init(|| Arc::new(self.summarise(id))))
    }

    fn summarise(&self, id: &TraceId) -> TraceSummary {
        let root = tree::root(&self.spans);
        let (from, to) = root.map_or((0, 0), |root| tree::extent(&self.spans, root));
        let root = root.map(|root| &self.spans[root]);
        let status_code = root.and_then(|span| span.status);
        let services: BTreeSet<&str> = self
            .spans
            .iter()
            .map(|span| span.origin.service.as_str())
            .collect();
        let faults: BTreeSet<&str> = self
            .spans
            .iter()
            .flat_map(|span| span.faults.iter().map(AsRef::as_ref))
            .collect();
        TraceSummary {
            trace_id: hex::encode(id),
            service: root.map_or_else(String::new, |span| span.origin.service.clone()),
            name: root.map_or_else(String::new, |span| span.name.to_string()),
            start_us: from / 1_000,
            duration_us: to.saturating_sub(from) / 1_000,
            spans: self.spans.len(),
            services: services.into_iter().map(str::to_owned).collect(),
            status_code,
            failed: root.is_some_and(|span| span.error)
                || status_code.is_some_and(|status| status >= 500),
            retries: self.spans.iter().filter(|span| span.retry).count(),
            faults: faults.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl TraceStore {
    /// Summaries, newest first, of traces in which `service` took part and that `rule` hit.
    pub(crate) fn summaries(
        &self,
        service: Option<&str>,
        rule: Option<&str>,
        filter: Filter,
        limit: usize,
    ) -> Vec<TraceSummary> {
        let all: Vec<Arc<TraceSummary>> = self
            .all()
            .iter()
            .map(|(id, trace)| trace.summary(id))
            .collect();
        let slow = (filter == Filter::Slow).then(|| slow_from(&all));
        all.iter()
            .filter(|one| service.is_none_or(|name| one.services.iter().any(|s| s == name)))
            .filter(|one| rule.is_none_or(|id| one.faults.iter().any(|fault| fault == id)))
            .filter(|one| filter.keeps(one, slow.as_ref()))
            .take(limit)
            .map(|one| TraceSummary::clone(one))
            .collect()
    }
}

type Bounds<'a> = HashMap<(&'a str, &'a str), u64>;

impl Filter {
    fn keeps(self, trace: &TraceSummary, slow: Option<&Bounds<'_>>) -> bool {
        match self {
            Self::All => true,
            Self::Failed => trace.failed,
            Self::Faulted => !trace.faults.is_empty(),
            Self::Retried => trace.retries > 0,
            Self::Slow => slow
                .and_then(|bounds| bounds.get(&(trace.service.as_str(), trace.name.as_str())))
                .is_some_and(|bound| trace.duration_us >= *bound),
        }
    }
}

/// 95th percentile of the duration by root.
fn slow_from(all: &[Arc<TraceSummary>]) -> Bounds<'_> {
    let mut durations: HashMap<(&str, &str), Vec<u64>> = HashMap::new();
    for one in all {
        let kind = (one.service.as_str(), one.name.as_str());
        durations.entry(kind).or_default().push(one.duration_us);
    }
    durations
        .into_iter()
        .filter(|(_, durations)| durations.len() >= ENOUGH)
        .map(|(kind, mut durations)| {
            durations.sort_unstable();
            (kind, durations[durations.len() * 95 / 100])
        })
        .collect()
}
