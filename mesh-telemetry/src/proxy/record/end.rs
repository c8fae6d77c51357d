//! How a request ended, what that counts as, and whether its trace is kept.

use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Note, Race, Record};
use crate::proxy::{
    Direction, Flags, RequestOutcome, Secured,
    outcome::{effective, is_failure, method_label},
};

impl Record {
    /// Ends the request and all that is still open, and counts it; none: it was dropped.
    pub(crate) fn end(&mut self, outcome: Option<RequestOutcome>) {
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
    pub(crate) fn overhead(&self) -> Option<f64> {
        let overhead = self
            .duration()
            .saturating_sub(self.upstream())
            .saturating_sub(self.paused);
        (!self.attempts.is_empty()).then_some(overhead.as_secs_f64())
    }

    /// Condition of the last retry made.
    pub(crate) fn retried(&self) -> Option<&'static str> {
        self.retried
    }

    /// The same, if it saved the request.
    pub(crate) fn saved(&self) -> Option<&'static str> {
        self.retried.filter(|_| !self.failed() && !self.cancelled)
    }

    /// Label of the hop through the mesh: inbound the caller's, outbound the one to
    /// the endpoint that was tried last.
    pub(crate) fn tls(&self) -> &'static str {
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
    pub(crate) fn duration(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now) - self.started
    }

    /// Why there is no answer of the application, or not all of it.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        let cancelled = self.cancelled.then_some("cancelled");
        self.outcome.reason.or(cancelled)
    }

    /// The caller got no answer of the application, or a server error.
    pub(crate) fn failed(&self) -> bool {
        let status = effective(self.outcome.status, self.outcome.grpc_status);
        status.is_some_and(|status| status >= 500)
            || self.outcome.reason.is_some_and(is_failure)
            || (self.outcome.status.is_none() && !self.cancelled)
    }

    /// Kept although nobody sampled it: it met a fault, a retry, a refusal or a failure.
    pub(crate) fn interesting(&self) -> bool {
        let eventful = self.refused || self.retry_refused.is_some() || !self.notes.is_empty();
        let failed = self.ended.is_some() && self.failed();
        let attempts = self.attempts.len() > 1 || self.attempts.iter().any(Attempt::interesting);
        eventful || failed || attempts
    }

    /// How many spans it becomes.
    pub(crate) fn spans(&self) -> usize {
        match self.direction {
            Direction::Outbound => 1 + self.attempts.len(),
            Direction::Inbound => 1, // the hop to the application has no span of its own
        }
    }
}

/// `FI`: the answer, or a part of it, is a fault's and not the upstream's. `DI`: a fault
/// made it late. Changed headers are neither.
pub(super) fn fault_flags(notes: &[(Instant, Note)]) -> Flags {
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
