//! Where finished requests go.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{AccessLog, Direction, Edge, exemplars, record::Record, spans};
use crate::{exemplar::Pending, export::Queue, otlp::Packet, sampling::Sampling};

/// Most records that a sink without export keeps; then the oldest go.
const KEPT: usize = 4096;

/// Where finished requests go; clones share one queue.
#[derive(Clone, Debug)]
pub struct Sink(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Target,
    /// Share of new traces, the bits of an `f64`.
    ratio: AtomicU64,
    parent_based: bool,
    /// The environment says how many: nobody else does.
    fixed: bool,
    unknown: [Arc<Edge>; 2],
    access_log: OnceLock<AccessLog>,
}

#[derive(Debug)]
enum Target {
    /// To the thread that exports.
    Queue(Queue),
    /// Kept here, for tests.
    Kept(Mutex<VecDeque<FinishedRequest>>),
    /// Nowhere: there is no collector.
    Nowhere,
}

impl Sink {
    /// A sink that keeps records, to be [taken](Self::take): for tests. New traces
    /// are all sampled.
    #[must_use]
    pub fn disconnected() -> Self {
        Self::disconnected_sampling(1.0)
    }

    /// The same with a share of new traces, 0 to 1.
    #[must_use]
    pub fn disconnected_sampling(ratio: f64) -> Self {
        let kept = Target::Kept(Mutex::default());
        Self::new(kept, Sampling::parent_based(ratio), false, "unknown")
    }

    pub(crate) fn connected(
        queue: Option<Queue>,
        sampling: Sampling,
        fixed: bool,
        service: &str,
    ) -> Self {
        Self::new(
            queue.map_or(Target::Nowhere, Target::Queue),
            sampling,
            fixed,
            service,
        )
    }

    fn new(target: Target, sampling: Sampling, fixed: bool, service: &str) -> Self {
        let inbound = Edge::unregistered(Direction::Inbound, "unknown", service, "none");
        let outbound = Edge::unregistered(Direction::Outbound, service, "unknown", "none");
        let unknown = [Arc::new(inbound), Arc::new(outbound)];
        Self(Arc::new(Inner {
            target,
            ratio: AtomicU64::new(sampling.ratio.to_bits()),
            parent_based: sampling.parent_based,
            fixed,
            unknown,
            access_log: OnceLock::new(),
        }))
    }

    /// Records that would have been exported, oldest first; empty when connected.
    #[must_use]
    pub fn take(&self) -> Vec<FinishedRequest> {
        match &self.0.target {
            Target::Kept(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.drain(..).collect()
            }
            Target::Queue(_) | Target::Nowhere => Vec::new(),
        }
    }

    /// Finished requests are written to this log from now on; only the first one counts.
    pub fn set_access_log(&self, log: AccessLog) {
        let _ = self.0.access_log.set(log); // there is one already
    }

    /// The access log, if there is one.
    #[must_use]
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.0.access_log.get()
    }

    pub(super) fn logs(&self) -> bool {
        self.0.access_log.get().is_some()
    }

    pub(super) fn log(&self, record: &Record) {
        if let Some(log) = self.0.access_log.get() {
            log.log(record);
        }
    }

    pub(super) fn offer(&self, record: Box<Record>) {
        match &self.0.target {
            Target::Queue(queue) => queue.offer_request(FinishedRequest(record)),
            Target::Kept(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(FinishedRequest(record));
            }
            Target::Nowhere => {}
        }
    }

    /// Without a collector no span of this sidecar will ever be seen: contexts pass
    /// through unchanged.
    pub(super) fn is_transparent(&self) -> bool {
        matches!(self.0.target, Target::Nowhere)
    }

    /// Changes the share of new traces that are kept, 0 to 1, from now on; without
    /// effect where `OTEL_TRACES_SAMPLER` decides.
    pub fn set_sample_ratio(&self, ratio: f64) {
        if !self.0.fixed {
            self.0.ratio.store(ratio.to_bits(), Relaxed);
        }
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling {
            ratio: f64::from_bits(self.0.ratio.load(Relaxed)),
            parent_based: self.0.parent_based,
        }
    }

    /// The edge of a request that has no route yet.
    pub(super) fn unknown(&self, direction: Direction) -> Arc<Edge> {
        let [inbound, outbound] = &self.0.unknown;
        match direction {
            Direction::Inbound => Arc::clone(inbound),
            Direction::Outbound => Arc::clone(outbound),
        }
    }
}

/// The record of a finished request.
#[derive(Clone, Debug)]
pub struct FinishedRequest(Box<Record>);

impl FinishedRequest {
    /// The spans it becomes: the request first, then its attempts.
    #[must_use]
    pub fn spans(&self) -> Vec<opentelemetry_sdk::trace::SpanData> {
        spans::of(&self.0)
    }

    /// Writes them as they are sent.
    pub(crate) fn write(&self, to: &mut Packet) {
        spans::write(&self.0, to);
    }

    /// What leads to it once its spans have arrived.
    pub(crate) fn exemplars(&self, to: &mut Vec<Pending>) {
        exemplars::of(&self.0, to);
    }

    /// How many spans that are.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.0.spans()
    }

    /// The same as text for snapshots, without ids, times and loads: one line a span
    /// with kind, status and attributes, children and events indented.
    #[must_use]
    pub fn describe(&self) -> String {
        spans::describe(&self.spans())
    }
}
