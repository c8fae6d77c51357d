//! What is written down about a request: times, ids and codes, nothing formatted.

mod attempts;
mod end;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Method, Uri, Version, header, request::Parts};
use metrics::Gauge;
use tokio::time::Instant;

use super::{
    Direction, Edge, FaultInjected, Flags, RequestEvent, RequestOutcome, Secured, outcome::is_grpc,
};
use crate::context::{SpanId, TraceContext, TraceId};
pub(super) use attempts::{Attempt, Race};

/// One request with its attempts.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that hold or not, each on its own; no states"
)]
pub(super) struct Record {
    pub(super) direction: Direction,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// What attempts ask for instead.
    pub(super) rewritten: Option<Uri>,
    pub(super) version: Version,
    pub(super) host: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    /// Length of the body as its sender announced it; read for the access log alone.
    pub(super) request_bytes: Option<u64>,
    pub(super) grpc: bool,
    /// What the caller sent: parent of this request.
    pub(super) incoming: Option<TraceContext>,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) sampled: bool,
    pub(super) started: Instant,
    pub(super) started_at: SystemTime,
    pub(super) ended: Option<Instant>,
    pub(super) edge: Arc<Edge>,
    /// Gauge that counts it as in flight.
    in_flight: Option<Gauge>,
    pub(super) deadline_left: Option<Duration>,
    pub(super) budget_left: Option<f64>,
    pub(super) retry_refused: Option<&'static str>,
    /// TLS that it came over.
    pub(super) secured: Option<Arc<Secured>>,
    pub(super) hedge_refused: Option<&'static str>,
    /// The next attempt of this number is a hedge.
    hedging: Option<u32>,
    pub(super) notes: Vec<(Instant, Note)>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) outcome: RequestOutcome,
    pub(super) cancelled: bool,
    /// Limits and access rules refused it.
    refused: bool,
    /// A retry is decided and waits since then.
    waiting: Option<(&'static str, Instant)>,
    /// Condition of the last retry made.
    retried: Option<&'static str>,
    /// A fault of its answer broke that off.
    broken_off: Option<(&'static str, Flags)>,
    /// Time in retry pauses and in delays of position `request`.
    paused: Duration,
}

/// What becomes an event of a span.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Fault(FaultInjected),
    Backoff {
        condition: &'static str,
        delay: Duration,
        budget_left: f64,
    },
    Hedge {
        number: u32,
        budget_left: f64,
    },
    Ejected {
        reason: &'static str,
        duration: Duration,
    },
}

impl Record {
    pub(super) fn new(
        direction: Direction,
        request: &Parts,
        incoming: Option<TraceContext>,
        (trace_id, span_id, sampled): (TraceId, SpanId, bool),
        edge: Arc<Edge>,
    ) -> Self {
        Self {
            direction,
            method: request.method.clone(),
            uri: request.uri.clone(),
            rewritten: None,
            version: request.version,
            host: request.headers.get(header::HOST).cloned(),
            user_agent: request.headers.get(header::USER_AGENT).cloned(),
            request_bytes: None,
            grpc: is_grpc(&request.headers),
            incoming,
            trace_id,
            span_id,
            sampled,
            started: Instant::now(),
            started_at: SystemTime::now(),
            ended: None,
            edge,
            in_flight: None,
            deadline_left: None,
            budget_left: None,
            retry_refused: None,
            secured: None,
            hedge_refused: None,
            hedging: None,
            notes: Vec::new(),
            attempts: Vec::new(),
            outcome: RequestOutcome::default(),
            cancelled: false,
            refused: false,
            waiting: None,
            retried: None,
            broken_off: None,
            paused: Duration::ZERO,
        }
    }

    /// Says whose traffic this is, and counts it as in flight there.
    pub(super) fn set_edge(&mut self, edge: &Arc<Edge>) {
        self.leave();
        edge.in_flight().increment(1.0);
        self.in_flight = Some(edge.in_flight().clone());
        self.edge = Arc::clone(edge);
    }

    fn leave(&mut self) {
        if let Some(gauge) = self.in_flight.take() {
            gauge.decrement(1.0);
        }
    }

    /// Writes an event down and counts it.
    pub(super) fn note(&mut self, event: RequestEvent) {
        let now = Instant::now();
        match event {
            RequestEvent::DeadlineSet { left } => self.deadline_left = Some(left),
            RequestEvent::Rewritten { to } => self.rewritten = Some(to),
            RequestEvent::RetryScheduled {
                condition,
                delay,
                budget_left,
            } => {
                self.waiting = Some((condition, now));
                self.set_budget(budget_left);
                self.notes.push((
                    now,
                    Note::Backoff {
                        condition,
                        delay,
                        budget_left,
                    },
                ));
            }
            RequestEvent::RetryRefused {
                reason,
                budget_left,
            } => {
                self.retry_refused = Some(reason);
                self.set_budget(budget_left);
                self.edge.refused(reason).increment(1);
            }
            RequestEvent::HedgeStarted {
                number,
                budget_left,
            } => {
                self.hedging = Some(number);
                self.set_budget(budget_left);
                let hedge = Note::Hedge {
                    number,
                    budget_left,
                };
                self.notes.push((now, hedge));
            }
            RequestEvent::HedgeRefused { reason } => {
                self.hedge_refused = Some(reason);
                self.edge.hedges("refused").increment(1);
            }
            RequestEvent::RaceWon { number } => self.decide(number),
            RequestEvent::Shed { reason } => {
                self.refused = true;
                self.edge.shed(reason).increment(1);
            }
            RequestEvent::BrokenOff { reason, flags } => self.broken_off = Some((reason, flags)),
            RequestEvent::Secured(secured) => self.secured = Some(secured),
            RequestEvent::Denied => {
                self.refused = true;
                self.edge.denied().increment(1);
            }
            RequestEvent::Fault(fault) => {
                self.paused += fault.actual.unwrap_or_default();
                self.notes.push((now, Note::Fault(fault)));
            }
        }
    }

    /// Writes what a fault became into the note that was made when it began.
    pub(super) fn end_fault(
        &mut self,
        attempt: Option<usize>,
        note: usize,
        actual: Option<Duration>,
        bytes: Option<u64>,
    ) {
        let notes = match attempt {
            None => &mut self.notes,
            Some(index) => &mut self.attempts[index].notes,
        };
        if let Some((_, Note::Fault(fault))) = notes.get_mut(note) {
            fault.actual = actual;
            fault.bytes = bytes.or(fault.bytes);
        }
    }

    /// A fault held the request back for so long until now. In what an attempt was under
    /// way, the sidecar did not cost time anyhow.
    pub(super) fn pause(&mut self, time: Duration) {
        let now = Instant::now();
        if self.attempts.iter().any(|attempt| attempt.ended.is_none()) {
            return;
        }
        let last = self
            .attempts
            .iter()
            .filter_map(|attempt| attempt.ended)
            .max();
        let alone = last.map_or(time, |last| time.min(now - last));
        self.paused += alone;
    }

    fn set_budget(&mut self, left: f64) {
        self.budget_left = Some(left);
        self.edge.budget().set(left);
    }
}
