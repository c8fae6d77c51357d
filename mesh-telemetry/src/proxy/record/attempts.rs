//! Attempts of a request as they begin, race one another, and end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Note, Record, end::fault_flags};
use crate::{
    context::SpanId,
    proxy::{
        AttemptEvent, AttemptOutcome, AttemptStart, Direction, Flags, Secured, outcome::effective,
    },
};

/// One try at an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) start: AttemptStart,
    pub(crate) span_id: SpanId,
    pub(crate) started: Instant,
    pub(crate) ended: Option<Instant>,
    pub(crate) probe: bool,
    /// TLS that it goes over.
    pub(crate) secured: Option<Arc<Secured>>,
    pub(crate) notes: Vec<(Instant, Note)>,
    pub(crate) outcome: AttemptOutcome,
    pub(crate) cancelled: bool,
    /// Begun beside a slow one.
    pub(crate) hedge: bool,
    pub(crate) race: Race,
}

/// What became of an attempt that others ran beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Race {
    /// It was alone, or failed.
    #[default]
    Undecided,
    /// Its outcome was taken.
    Won,
    /// Another's was, while it ran.
    Lost,
}

impl Record {
    /// Starts an attempt, and says where it is.
    pub(crate) fn begin_attempt(&mut self, start: AttemptStart, span_id: SpanId) -> usize {
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
    pub(super) fn decide(&mut self, winner: u32) {
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
    pub(crate) fn end_attempt(&mut self, index: usize, outcome: Option<AttemptOutcome>) {
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

    /// Writes down what happened to one.
    pub(crate) fn note_attempt(&mut self, index: usize, event: AttemptEvent) {
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

    pub(crate) fn duration(&self) -> Duration {
        self.ended
            .map_or(Duration::ZERO, |ended| ended - self.started)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.duration().as_secs_f64()
    }

    pub(super) fn interesting(&self) -> bool {
        let status = effective(self.outcome.status, self.outcome.grpc_status);
        let failed = status.is_some_and(|status| status >= 500);
        !self.notes.is_empty() || self.outcome.error.is_some() || failed
    }
}
