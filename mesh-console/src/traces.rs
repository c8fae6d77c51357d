//! Traces in memory, bounded by bytes.
//!
//! A span is kept as it came (encoded), with the few facts beside it that lists
//! and searches ask for. When the store is full, whole traces go, oldest first;
//! traces with faults or errors have half of the room for themselves, because
//! they are what people come for.

mod intern;
pub(crate) mod span;
mod summary;
pub(crate) mod tree;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::api::StoreState;
use intern::Interner;
pub(crate) use span::{Origin, Received, SpanId, Stored, TraceId, faults, find};
pub(crate) use summary::Filter;

/// Bytes of a trace beside its spans: entries in maps and the trace itself.
const TRACE_OVERHEAD: usize = 400;

/// Most spans of one trace; what comes beyond is counted and dropped.
const MOST_SPANS: usize = 5_000;

/// One trace may take this part of the store: one endless trace must not push
/// out all others.
const TRACE_SHARE: usize = 4;

/// A trace as far as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Spans in the order of arrival.
    pub(crate) spans: Vec<Stored>,
    /// Spans that were dropped because the trace is too large.
    pub(crate) dropped: usize,
    order: u64,
    troubled: bool,
    bytes: usize,
    summary: summary::Cached,
}

impl Trace {
    /// Start of its earliest span, nanoseconds since the Unix epoch.
    pub(crate) fn start_ns(&self) -> u64 {
        self.spans
            .iter()
            .map(|span| span.start_ns)
            .min()
            .unwrap_or(0)
    }
}

/// The store. Readers get shared traces and work on them without its lock.
pub(crate) struct TraceStore {
    capacity: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    traces: HashMap<TraceId, Arc<Trace>>,
    /// Traces without trouble by arrival, and those with.
    calm: Queue,
    troubled: Queue,
    spans: usize,
    arrivals: u64,
    /// Evicted, and not yet taken apart.
    leaving: Vec<Arc<Trace>>,
    origins: Interner<Origin>,
    names: Interner<str>,
}

#[derive(Default)]
struct Queue {
    by_arrival: BTreeMap<u64, TraceId>,
    bytes: usize,
}

impl TraceStore {
    /// A store of at most so many bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            held: Mutex::default(),
        }
    }

    /// Takes spans in, and makes room for them.
    pub(crate) fn insert(&self, spans: impl IntoIterator<Item = Received>) {
        let mut held = self.lock();
        for span in spans {
            held.insert(span, self.capacity / TRACE_SHARE);
        }
        held.evict(self.capacity);
    }

    pub(crate) fn get(&self, id: &TraceId) -> Option<Arc<Trace>> {
        self.lock().traces.get(id).cloned()
    }

    /// All traces, newest start first.
    pub(crate) fn all(&self) -> Vec<(TraceId, Arc<Trace>)> {
        let held = self.lock();
        let mut all: Vec<_> = held
            .traces
            .iter()
            .map(|(id, trace)| (*id, Arc::clone(trace)))
            .collect();
        drop(held);
        all.sort_by_cached_key(|(_, trace)| std::cmp::Reverse(trace.start_ns()));
        all
    }

    /// Names of services with spans, sorted.
    pub(crate) fn services(&self) -> Vec<String> {
        let held = self.lock();
        let mut names: Vec<String> = held
            .origins
            .iter()
            .map(|origin| origin.service.clone())
            .collect();
        drop(held);
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn state(&self) -> StoreState {
        let held = self.lock();
        StoreState {
            traces: held.traces.len(),
            spans: held.spans,
            bytes: held.bytes(),
            capacity_bytes: self.capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn insert(&mut self, received: Received, largest: usize) {
        let id = received.trace_id;
        let order = self.arrivals;
        let fresh = || {
            Arc::new(Trace {
                order,
                bytes: TRACE_OVERHEAD,
                ..Trace::default()
            })
        };
        let known = self.traces.contains_key(&id);
        let trace = Arc::make_mut(self.traces.entry(id).or_insert_with(fresh));
        if known {
            queue(&mut self.calm, &mut self.troubled, trace).remove(trace);
        } else {
            self.arrivals += 1;
        }
        let (origins, names) = (&mut self.origins, &mut self.names);
        let stored = received.store(origins, names);
        match trace.add(stored, largest) {
            None => self.spans += 1,
            // What a span shared goes with it, or an endless trace fills the store with names.
            Some(refused) => {
                origins.release(&refused.origin);
                names.release(&refused.name);
            }
        }
        queue(&mut self.calm, &mut self.troubled, trace).add(id, trace);
    }

    fn evict(&mut self, capacity: usize) {
        while self.bytes() > capacity {
            let calm = !self.calm.by_arrival.is_empty() && self.troubled.bytes <= capacity / 2;
            let victims = if calm {
                &mut self.calm
            } else {
                &mut self.troubled
            };
            let Some((_, id)) = victims.by_arrival.pop_first() else {
                break;
            };
            if let Some(trace) = self.traces.remove(&id) {
                victims.bytes -= trace.bytes;
                self.spans -= trace.spans.len();
                self.leaving.push(trace);
            }
            self.forget();
        }
    }

    /// Names and origins that nobody else refers to go with their traces; a
    /// trace that somebody reads now is looked at again the next time.
    fn forget(&mut self) {
        for trace in std::mem::take(&mut self.leaving) {
            match Arc::try_unwrap(trace) {
                Ok(trace) => self.release(trace),
                Err(read) => self.leaving.push(read),
            }
        }
    }

    fn release(&mut self, trace: Trace) {
        for span in trace.spans {
            self.origins.release(&span.origin);
            self.names.release(&span.name);
        }
    }

    fn bytes(&self) -> usize {
        self.calm.bytes + self.troubled.bytes + self.origins.bytes() + self.names.bytes()
    }
}

impl Queue {
    fn add(&mut self, id: TraceId, trace: &Trace) {
        self.by_arrival.insert(trace.order, id);
        self.bytes += trace.bytes;
    }

    fn remove(&mut self, trace: &Trace) {
        self.by_arrival.remove(&trace.order);
        self.bytes -= trace.bytes;
    }
}

fn queue<'a>(calm: &'a mut Queue, troubled: &'a mut Queue, trace: &Trace) -> &'a mut Queue {
    if trace.troubled { troubled } else { calm }
}

impl Trace {
    /// Keeps a span, or gives it back: it was there before, or has no room.
    fn add(&mut self, span: Stored, largest: usize) -> Option<Stored> {
        if let Some(first) = self.spans.iter_mut().find(|one| one.id == span.id) {
            first.repeated |= !first.is_same(&span);
            return Some(span);
        }
        let bytes = span.bytes();
        if self.spans.len() >= MOST_SPANS || self.bytes + bytes > largest {
            self.dropped += 1;
            return Some(span);
        }
        self.troubled |= span.error || !span.faults.is_empty();
        self.bytes += bytes;
        self.spans.push(span);
        self.summary = summary::Cached::default();
        None
    }
}

#[cfg(test)]
mod tests;
