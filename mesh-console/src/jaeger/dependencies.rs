//! Who calls whom, from the spans themselves.

use std::collections::{BTreeMap, HashMap};

use super::{model::Dependency, query::Params};
use crate::traces::{Trace, TraceStore};

/// Time in which traces count, milliseconds since the Unix epoch.
pub(super) struct Range {
    from_ms: u64,
    to_ms: u64,
}

impl Range {
    /// `endTs` and `lookback`, both in milliseconds; everything until now without them.
    pub(super) fn read(params: &Params, now_ms: u64) -> Result<Self, String> {
        let to_ms = params.number("endTs")?.unwrap_or(now_ms);
        let lookback = params.number("lookback")?.unwrap_or(to_ms);
        Ok(Self {
            from_ms: to_ms.saturating_sub(lookback),
            to_ms,
        })
    }

    fn contains(&self, trace: &Trace) -> bool {
        (self.from_ms..=self.to_ms).contains(&(trace.start_ns() / 1_000_000))
    }
}

/// Calls from service to service: spans whose parent is another service's.
pub(super) fn links(store: &TraceStore, range: &Range) -> Vec<Dependency> {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (_, trace) in store.all() {
        if range.contains(&trace) {
            count(&trace, &mut counts);
        }
    }
    counts
        .into_iter()
        .map(|((parent, child), call_count)| Dependency {
            parent,
            child,
            call_count,
        })
        .collect()
}

fn count(trace: &Trace, counts: &mut BTreeMap<(String, String), u64>) {
    let services: HashMap<_, _> = trace
        .spans
        .iter()
        .map(|span| (span.id, span.origin.service.as_str()))
        .collect();
    for span in &trace.spans {
        let child = span.origin.service.as_str();
        let parent = span.parent.and_then(|parent| services.get(&parent));
        if let Some(parent) = parent.filter(|parent| **parent != child) {
            let edge = ((*parent).to_owned(), child.to_owned());
            *counts.entry(edge).or_default() += 1;
        }
    }
}
