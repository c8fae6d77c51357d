//! Turns records into spans, away from the request path.

mod attributes;
mod describe;
mod events;
mod names;
mod sdk;

use std::{sync::LazyLock, time::SystemTime};

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanId, SpanKind, Status, TraceFlags},
};
use tokio::time::Instant;

use super::{
    Direction,
    outcome::effective,
    record::{Attempt, Note, Record},
};
use crate::{
    context::TraceContext,
    otlp::{Attributes, Head, Packet, SpanWriter},
};

pub(super) use describe::describe;
pub(super) use sdk::of;

static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
    InstrumentationScope::builder("mesh-proxy")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
});

/// Writes the spans of a request: itself, then its attempts. The hop from an inbound
/// sidecar to its application is told in attributes of the request.
pub(super) fn write(record: &Record, to: &mut Packet) {
    let state = record
        .incoming
        .as_ref()
        .and_then(TraceContext::state_header);
    let state = state.as_deref().unwrap_or_default();
    let mut name = String::with_capacity(48);
    for span in Span::of(record) {
        name.clear();
        span.name(&mut name);
        to.add(&SCOPE, |to| span.write(&name, state, to));
    }
}

/// A span of a record: the request's, or that of an attempt.
#[derive(Clone, Copy)]
struct Span<'a> {
    record: &'a Record,
    attempt: Option<&'a Attempt>,
}

impl<'a> Span<'a> {
    fn of(record: &'a Record) -> impl Iterator<Item = Self> {
        let attempts: &[Attempt] = match record.direction {
            Direction::Outbound => &record.attempts,
            Direction::Inbound => &[],
        };
        let request = Self {
            record,
            attempt: None,
        };
        let attempts = attempts.iter().map(move |attempt| Self {
            record,
            attempt: Some(attempt),
        });
        std::iter::once(request).chain(attempts)
    }

    fn write(self, name: &str, state: &str, mut to: SpanWriter<'_>) {
        let (started, ended) = self.times();
        to.head(&Head {
            trace_id: self.record.trace_id,
            span_id: self.id(),
            parent: self.parent(),
            parent_is_remote: self.parent_is_remote(),
            flags: self.flags(),
            state,
            name,
            kind: self.kind(),
            started,
            ended,
        });
        self.attributes(&mut to.attributes());
        for (when, note) in self.notes() {
            to.event(self.time(*when), events::name(note), |to| {
                events::attributes(note, to);
            });
        }
        to.status(&self.status());
    }

    fn name(self, to: &mut String) {
        match self.attempt {
            None => names::request(self.record, to),
            Some(_) => names::attempt(self.record, to),
        }
    }

    fn kind(self) -> SpanKind {
        match (self.attempt, self.record.direction) {
            (Some(_), _) => SpanKind::Client,
            (None, Direction::Inbound) => SpanKind::Server,
            (None, Direction::Outbound) => SpanKind::Internal,
        }
    }

    fn id(self) -> SpanId {
        self.attempt
            .map_or(self.record.span_id, |attempt| attempt.span_id)
    }

    /// Invalid: it is a root.
    fn parent(self) -> SpanId {
        match (self.attempt, &self.record.incoming) {
            (Some(_), _) => self.record.span_id,
            (None, Some(incoming)) => incoming.span_id,
            (None, None) => SpanId::INVALID,
        }
    }

    fn parent_is_remote(self) -> bool {
        self.attempt.is_none() && self.record.incoming.is_some()
    }

    fn flags(self) -> TraceFlags {
        let incoming = self.record.incoming.as_ref();
        TraceFlags::new(incoming.map_or(0, |it| it.other_flags)) | TraceFlags::SAMPLED
    }

    fn times(self) -> (SystemTime, SystemTime) {
        let (started, ended) = match self.attempt {
            None => (self.record.started, self.record.ended),
            Some(attempt) => (attempt.started, attempt.ended),
        };
        (self.time(started), self.time(ended.unwrap_or(started)))
    }

    /// Wall-clock time of an instant: the request's start plus what the monotonic
    /// clock says, so that a clock that is set meanwhile tears no trace apart.
    fn time(self, when: Instant) -> SystemTime {
        self.record.started_at + when.saturating_duration_since(self.record.started)
    }

    fn attributes(self, to: &mut impl Attributes) {
        match self.attempt {
            None => attributes::request(self.record, to),
            Some(attempt) => attributes::attempt(self.record, attempt, to),
        }
    }

    /// What happened in it. An inbound hop has no span of its own: what happened
    /// there is told on the request.
    fn notes(self) -> impl Iterator<Item = &'a (Instant, Note)> {
        let (own, hops): (&[_], &[Attempt]) = match (self.attempt, self.record.direction) {
            (Some(attempt), _) => (&attempt.notes, &[]),
            (None, Direction::Outbound) => (&self.record.notes, &[]),
            (None, Direction::Inbound) => (&self.record.notes, &self.record.attempts),
        };
        own.iter().chain(hops.iter().flat_map(|hop| &hop.notes))
    }

    fn status(self) -> Status {
        let failed = match self.attempt {
            None => request_failed(self.record),
            Some(attempt) => attempt_failed(attempt),
        };
        if failed {
            Status::error("")
        } else {
            Status::Unset
        }
    }
}

/// As a server: only 5xx and failures of the sidecar are errors; a caller that
/// goes away is none.
fn request_failed(record: &Record) -> bool {
    let status = effective(record.outcome.status, record.outcome.grpc_status);
    let server_error = status.is_some_and(|status| status >= 500);
    let unanswered = record.outcome.status.is_none() && !record.cancelled;
    server_error || unanswered
}

/// As a client: 4xx are errors too.
fn attempt_failed(attempt: &Attempt) -> bool {
    let status = effective(attempt.outcome.status, attempt.outcome.grpc_status);
    let refused = status.is_some_and(|status| status >= 400);
    let unanswered = attempt.outcome.status.is_none() && !attempt.cancelled;
    refused || unanswered || attempt.outcome.error.is_some()
}
