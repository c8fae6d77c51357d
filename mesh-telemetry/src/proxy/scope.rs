//! Handles on a request and its attempts while they run.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, header};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tokio::time::Instant;

use super::{
    AttemptEvent, AttemptOutcome, AttemptStart, Direction, Edge, FaultInjected, RequestEvent,
    RequestOutcome, Sink,
    fault::{self, HeldFault, Noted},
    record::{Note, Record},
};
use crate::{
    context::{TraceContext, TraceId, trim_baggage},
    propagation,
};

/// One request at this sidecar: lives in the request's extensions, and ends when
/// told, or as cancelled by the caller with the last clone.
#[derive(Clone, Debug)]
pub struct RequestScope(Arc<Shared>);

/// The record while the request runs; taken out when it ends. The lock is held for
/// a few writes at a time and hardly ever contended: a request's layers run one
/// after the other.
#[derive(Debug)]
pub(super) struct Shared {
    sink: Sink,
    trace_id: TraceId,
    record: Mutex<Option<Box<Record>>>,
}

impl Shared {
    /// Runs `write` on the record, unless the request is over.
    pub(super) fn with<T>(&self, write: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.as_deref_mut().map(write)
    }

    fn finish(&self, outcome: Option<RequestOutcome>) {
        let record = self
            .record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut record) = record else { return };
        record.end(outcome);
        self.sink.log(&record);
        if record.sampled || record.interesting() {
            self.sink.offer(record);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.finish(None);
    }
}

impl RequestScope {
    /// Reads the trace context, decides on sampling, starts the clock.
    #[must_use]
    pub fn begin(sink: &Sink, direction: Direction, request: &http::request::Parts) -> Self {
        let parent = propagation::incoming(&request.headers);
        let incoming = parent.context;
        let ids = RandomIdGenerator::default();
        let trace_id = incoming
            .as_ref()
            .map_or_else(|| ids.new_trace_id(), |it| it.trace_id);
        let sampled = sink.sampling().decide(parent.sampled, trace_id);
        let span = (trace_id, ids.new_span_id(), sampled);
        let mut record = Record::new(direction, request, incoming, span, sink.unknown(direction));
        if sink.logs() {
            record.request_bytes = announced_length(&request.headers);
        }
        Self(Arc::new(Shared {
            sink: sink.clone(),
            trace_id,
            record: Mutex::new(Some(Box::new(record))),
        }))
    }

    /// The trace the request belongs to, also when it is not sampled.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id
    }

    /// Says whose traffic this is; before that it is destination `unknown`, route
    /// `none`. From then on the request is counted as in flight.
    pub fn set_edge(&self, edge: &Arc<Edge>) {
        self.0.with(|record| record.set_edge(edge));
    }

    /// Writes down what happened.
    pub fn emit(&self, event: RequestEvent) {
        self.0.with(|record| {
            if let RequestEvent::Fault(injected) = &event {
                fault::count(&record.edge, injected);
            }
            record.note(event);
        });
    }

    /// Writes a fault that holds the request down now, and for how long it did when the
    /// guard is dropped.
    pub fn hold_fault(&self, injected: FaultInjected) -> HeldFault {
        let rule = Arc::clone(&injected.rule);
        HeldFault::holding(noted(&self.0, None, injected), &rule)
    }

    /// The same for a fault that works on the body of the answer: the guard is told
    /// what it does.
    pub fn work_fault(&self, injected: FaultInjected) -> HeldFault {
        let rule = Arc::clone(&injected.rule);
        HeldFault::working(noted(&self.0, None, injected), &rule)
    }

    /// Starts an attempt (inbound: the hop to the application).
    #[must_use]
    pub fn begin_attempt(&self, attempt: AttemptStart) -> AttemptScope {
        let number = attempt.number;
        let span = RandomIdGenerator::default().new_span_id();
        let index = self.0.with(|record| record.begin_attempt(attempt, span));
        AttemptScope(Arc::new(AttemptShared {
            request: Arc::clone(&self.0),
            index: index.unwrap_or(usize::MAX), // the request is over: nothing will be written
            number,
        }))
    }

    /// Ends the request; only the first call counts. Call it at the end of the body.
    pub fn finish(&self, outcome: RequestOutcome) {
        self.0.finish(Some(outcome));
    }
}

/// One attempt; ends when told, or as cancelled with the last clone.
#[derive(Clone, Debug)]
pub struct AttemptScope(Arc<AttemptShared>);

#[derive(Debug)]
struct AttemptShared {
    request: Arc<Shared>,
    index: usize,
    number: u32,
}

impl Drop for AttemptShared {
    fn drop(&mut self) {
        self.request
            .with(|record| record.end_attempt(self.index, None));
    }
}

impl AttemptScope {
    /// Writes the trace context of this attempt (inbound: of the request) into the
    /// headers that go to the endpoint, which are the caller's. A request that is
    /// neither sampled nor eventful keeps the caller's context.
    pub fn inject(&self, headers: &mut HeaderMap) {
        trim_baggage(headers);
        if self.0.request.sink.is_transparent() {
            return;
        }
        let index = self.0.index;
        if let Some(context) = self
            .0
            .request
            .with(|record| outgoing(record, index))
            .flatten()
        {
            propagation::outgoing(&context, headers);
        }
    }

    /// Writes down what happened.
    pub fn emit(&self, event: AttemptEvent) {
        self.0.request.with(|record| {
            if let AttemptEvent::Fault(injected) = &event {
                fault::count(&record.edge, injected);
            }
            record.note_attempt(self.0.index, event);
        });
    }

    /// Writes a fault that holds the request down now, and for how long it did when the
    /// guard is dropped.
    pub fn hold_fault(&self, injected: FaultInjected) -> HeldFault {
        let rule = Arc::clone(&injected.rule);
        HeldFault::holding(noted(&self.0.request, Some(self.0.index), injected), &rule)
    }

    /// The same for a fault that works on the body of the answer: the guard is told
    /// what it does.
    pub fn work_fault(&self, injected: FaultInjected) -> HeldFault {
        let rule = Arc::clone(&injected.rule);
        HeldFault::working(noted(&self.0.request, Some(self.0.index), injected), &rule)
    }

    /// 1, 2, …
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// Ends the attempt; only the first call counts. Call it for the attempt whose
    /// answer is passed on at the end of the body, for others when they failed.
    pub fn finish(&self, outcome: AttemptOutcome) {
        self.0
            .request
            .with(|record| record.end_attempt(self.0.index, Some(outcome)));
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Context for the endpoint; none: the caller's headers go on unchanged.
fn outgoing(record: &Record, index: usize) -> Option<TraceContext> {
    let kept = record.sampled || record.interesting();
    if !kept && record.incoming.is_some() {
        return None;
    }
    let span_id = match record.direction {
        Direction::Outbound => record.attempts.get(index)?.span_id,
        Direction::Inbound => record.span_id,
    };
    let incoming = record.incoming.as_ref();
    Some(TraceContext {
        trace_id: record.trace_id,
        span_id,
        sampled: kept,
        other_flags: incoming.map_or(0, |incoming| incoming.other_flags),
        tracestate: incoming.and_then(|incoming| incoming.tracestate.clone()),
    })
}

/// Writes a fault down and counts it.
fn noted(shared: &Arc<Shared>, attempt: Option<usize>, injected: FaultInjected) -> Noted {
    let note = shared.with(|record| {
        fault::count(&record.edge, &injected);
        let notes = match attempt {
            None => &mut record.notes,
            Some(index) => &mut record.attempts.get_mut(index)?.notes,
        };
        notes.push((Instant::now(), Note::Fault(injected)));
        Some(notes.len() - 1)
    });
    Noted {
        request: Arc::clone(shared),
        attempt,
        note: note.flatten(),
    }
}
