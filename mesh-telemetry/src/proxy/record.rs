//! What is written down about a request: times, ids and codes, nothing formatted.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Method, Uri, Version, header, request::Parts};
use metrics::Gauge;
use tokio::time::Instant;

use super::{
    AttemptEvent, AttemptOutcome, AttemptStart, Direction, Edge, FaultInjected, Flags,
    RequestEvent, RequestOutcome, Secured,
    outcome::{effective, is_failure, is_grpc, method_label},
};
use crate::context::{SpanId, TraceContext, TraceId};

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

/// One try at an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) start: AttemptStart,
    pub(super) span_id: SpanId,
    pub(super) started: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) probe: bool,
    /// TLS that it goes over.
    pub(super) secured: Option<Arc<Secured>>,
    pub(super) notes: Vec<(Instant, Note)>,
    pub(super) outcome: AttemptOutcome,
    pub(super) cancelled: bool,
    /// Begun beside a slow one.
    pub(super) hedge: bool,
    pub(super) race: Race,
}

/// What became of an attempt that others ran beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Race {
    /// It was alone, or failed.
    #[default]
    Undecided,
    /// Its outcome was taken.
    Won,
    /// Another's was, while it ran.
    Lost,
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

    /// The same for an attempt.
    pub(super) fn note_attempt(&mut self, index: usize, event: AttemptEvent) {
        let Some(attempt) = self.attempts.get_mut(index) else {
            return;
        };
        let now = Instant::now();
        match event {
            AttemptEvent::Fault(fault) => attempt.notes.push((now, Note::Fault(fault))),
            AttemptEvent::Ejected { reason, duration } => {
                attempt
                    .notes
                    .push((now, Note::Ejected { reason, duration }));
            }
            AttemptEvent::HalfOpenProbe => attempt.probe = true,
            AttemptEvent::Secured(secured) => attempt.secured = Some(secured),
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

    /// Starts an attempt, and says where it is.
    pub(super) fn begin_attempt(&mut self, start: AttemptStart, span_id: SpanId) -> usize {
        let now = Instant::now();
        if let Some((condition, since)) = self.waiting.take() {
            self.paused += now - since;
            self.retried = Some(condition);
            self.edge.retries(condition).increment(1);
        }
        let hedge = self.hedging.take_if(|number| *number == start.number);
        self.attempts.push(Attempt {
            hedge: hedge.is_some(),
            race: Race::Undecided,
            start,
            span_id,
            started: now,
            ended: None,
            probe: false,
            secured: None,
            notes: Vec::new(),
            outcome: AttemptOutcome::default(),
            cancelled: false,
        });
        self.attempts.len() - 1
    }

    /// Of several attempts at once this one's outcome was taken: the others end now,
    /// and nobody is to blame.
    fn decide(&mut self, winner: u32) {
        if !self.attempts.iter().any(|attempt| attempt.hedge) {
            return; // there was only one
        }
        for index in 0..self.attempts.len() {
            let attempt = &mut self.attempts[index];
            if attempt.start.number == winner {
                attempt.race = Race::Won;
            } else if attempt.ended.is_none() {
                attempt.race = Race::Lost;
                self.end_attempt(index, None);
            }
        }
    }

    /// Ends an attempt; none: it was dropped. Only the first end counts.
    pub(super) fn end_attempt(&mut self, index: usize, outcome: Option<AttemptOutcome>) {
        let Some(attempt) = self.attempts.get_mut(index) else {
            return;
        };
        if attempt.ended.is_some() {
            return;
        }
        attempt.end(outcome.map(|outcome| match self.broken_off {
            Some(by) => outcome.broken_off(by),
            None => outcome,
        }));
        if self.direction == Direction::Outbound {
            self.edge.count_attempt(&attempt.outcome, attempt.seconds());
        }
    }

    /// Ends the request and all that is still open, and counts it; none: it was dropped.
    pub(super) fn end(&mut self, outcome: Option<RequestOutcome>) {
        for index in 0..self.attempts.len() {
            self.end_attempt(index, None);
        }
        let now = Instant::now();
        if let Some((_, since)) = self.waiting.take() {
            self.paused += now - since;
        }
        self.ended = Some(now);
        self.cancelled = outcome.is_none();
        self.outcome = outcome.unwrap_or_else(|| RequestOutcome {
            flags: Flags::DOWNSTREAM_CLOSED,
            ..RequestOutcome::default()
        });
        self.outcome.flags |= self.fault_flags();
        self.leave();
        self.count();
        self.count_hedges();
    }

    fn count_hedges(&self) {
        for hedge in self.attempts.iter().filter(|attempt| attempt.hedge) {
            let result = match hedge.race {
                Race::Lost => "lost",
                Race::Won if !self.failed() => "won",
                _ if hedge.cancelled => "cancelled",
                _ => "failed",
            };
            self.edge.hedges(result).increment(1);
        }
    }

    fn count(&self) {
        let method = method_label(&self.method);
        self.edge.count_request(
            method,
            self.tls(),
            &self.outcome,
            self.duration().as_secs_f64(),
            self.overhead(),
        );
        if let Some(condition) = self.saved() {
            self.edge.saved(condition).increment(1);
        }
    }

    /// What the sidecar itself cost, seconds; none without an attempt. Of a request
    /// that has ended.
    pub(super) fn overhead(&self) -> Option<f64> {
        let overhead = self
            .duration()
            .saturating_sub(self.upstream())
            .saturating_sub(self.paused);
        (!self.attempts.is_empty()).then_some(overhead.as_secs_f64())
    }

    /// Condition of the last retry made.
    pub(super) fn retried(&self) -> Option<&'static str> {
        self.retried
    }

    /// The same, if it saved the request.
    pub(super) fn saved(&self) -> Option<&'static str> {
        self.retried.filter(|_| !self.failed() && !self.cancelled)
    }

    /// Label of the hop through the mesh: inbound the caller's, outbound the one to
    /// the endpoint that was tried last.
    pub(super) fn tls(&self) -> &'static str {
        Secured::label(match self.direction {
            Direction::Inbound => self.secured.as_ref(),
            Direction::Outbound => self.attempts.last().and_then(|last| last.secured.as_ref()),
        })
    }

    /// Time in which at least one attempt ran.
    fn upstream(&self) -> Duration {
        let mut sum = Duration::ZERO;
        let mut until = self.started;
        for attempt in &self.attempts {
            let ended = attempt.ended.unwrap_or(attempt.started);
            sum += ended.saturating_duration_since(until.max(attempt.started));
            until = until.max(ended);
        }
        sum
    }

    /// Flags of faults that the caller can see: those of the request, and of the
    /// attempt whose answer it got.
    fn fault_flags(&self) -> Flags {
        let won = |attempt: &&Attempt| attempt.race != Race::Lost;
        let last = self
            .attempts
            .iter()
            .rfind(won)
            .map_or(Flags::NONE, |attempt| fault_flags(&attempt.notes));
        last | fault_flags(&self.notes)
    }

    /// Time to the last byte, or until now.
    pub(super) fn duration(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now) - self.started
    }

    /// Why there is no answer of the application, or not all of it.
    pub(super) fn reason(&self) -> Option<&'static str> {
        let cancelled = self.cancelled.then_some("cancelled");
        self.outcome.reason.or(cancelled)
    }

    /// The caller got no answer of the application, or a server error.
    pub(super) fn failed(&self) -> bool {
        let status = effective(self.outcome.status, self.outcome.grpc_status);
        status.is_some_and(|status| status >= 500)
            || self.outcome.reason.is_some_and(is_failure)
            || (self.outcome.status.is_none() && !self.cancelled)
    }

    /// Kept although nobody sampled it: it met a fault, a retry, a refusal or a failure.
    pub(super) fn interesting(&self) -> bool {
        let eventful = self.refused || self.retry_refused.is_some() || !self.notes.is_empty();
        let failed = self.ended.is_some() && self.failed();
        let attempts = self.attempts.len() > 1 || self.attempts.iter().any(Attempt::interesting);
        eventful || failed || attempts
    }

    /// How many spans it becomes.
    pub(super) fn spans(&self) -> usize {
        match self.direction {
            Direction::Outbound => 1 + self.attempts.len(),
            Direction::Inbound => 1, // the hop to the application has no span of its own
        }
    }

    fn set_budget(&mut self, left: f64) {
        self.budget_left = Some(left);
        self.edge.budget().set(left);
    }
}

impl Attempt {
    fn end(&mut self, outcome: Option<AttemptOutcome>) {
        self.ended = Some(Instant::now());
        self.cancelled = outcome.is_none();
        self.outcome = outcome.unwrap_or_else(|| AttemptOutcome {
            flags: match self.race {
                Race::Lost => Flags::NONE, // the caller is still there
                Race::Undecided | Race::Won => Flags::DOWNSTREAM_CLOSED,
            },
            ..AttemptOutcome::default()
        });
        self.outcome.flags |= fault_flags(&self.notes);
    }

    pub(super) fn duration(&self) -> Duration {
        self.ended
            .map_or(Duration::ZERO, |ended| ended - self.started)
    }

    pub(super) fn seconds(&self) -> f64 {
        self.duration().as_secs_f64()
    }

    fn interesting(&self) -> bool {
        let status = effective(self.outcome.status, self.outcome.grpc_status);
        let failed = status.is_some_and(|status| status >= 500);
        !self.notes.is_empty() || self.outcome.error.is_some() || failed
    }
}

/// `FI`: the answer, or a part of it, is a fault's and not the upstream's. `DI`: a fault
/// made it late. Changed headers are neither.
fn fault_flags(notes: &[(Instant, Note)]) -> Flags {
    let faults = notes.iter().filter_map(|(_, note)| match note {
        Note::Fault(fault) => Some(fault.fault),
        _ => None,
    });
    faults.fold(Flags::NONE, |flags, fault| match fault {
        "abort" | "refuse" | "reset" | "corrupt" | "truncate" => flags | Flags::FAULT_ABORT,
        "delay" | "hang" | "chunk_delay" | "throttle" => flags | Flags::DELAY_INJECTED,
        _ => flags,
    })
}
