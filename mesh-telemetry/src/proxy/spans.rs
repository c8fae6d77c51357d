//! Turns records into spans, away from the request path.

mod attributes;
mod describe;
mod events;
mod names;

use std::{sync::LazyLock, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;

use super::{
    Direction,
    outcome::effective,
    record::{Attempt, Note, Record},
};

pub(super) use describe::describe;

static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
    InstrumentationScope::builder("mesh-proxy")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
});

/// The spans of a request: itself, then its attempts. The hop from an inbound
/// sidecar to its application is told in attributes of the request.
pub(super) fn of(record: &Record) -> Vec<SpanData> {
    let mut spans = Vec::with_capacity(record.spans());
    spans.push(request(record));
    if record.direction == Direction::Outbound {
        spans.extend(
            record
                .attempts
                .iter()
                .map(|attempt| self::attempt(record, attempt)),
        );
    }
    spans
}

fn request(record: &Record) -> SpanData {
    let (name, span_kind) = match record.direction {
        Direction::Inbound => (names::inbound(record), SpanKind::Server),
        Direction::Outbound => (names::outbound(record), SpanKind::Internal),
    };
    let parent = record.incoming.as_ref().map(|incoming| incoming.span_id);
    let draft = Draft {
        name,
        span_kind,
        span_id: record.span_id,
        parent,
        span: (record.started, record.ended),
        attributes: attributes::request(record),
        status: request_status(record),
    };
    // Without a span of its own, what happened on the hop is told on the request.
    let hops: &[Attempt] = match record.direction {
        Direction::Inbound => &record.attempts,
        Direction::Outbound => &[],
    };
    let hop = hops.iter().flat_map(|hop| hop.notes.iter());
    draft.finish(record, record.notes.iter().chain(hop))
}

fn attempt(record: &Record, attempt: &Attempt) -> SpanData {
    let draft = Draft {
        name: format!("attempt {}", record.edge.destination()),
        span_kind: SpanKind::Client,
        span_id: attempt.span_id,
        parent: Some(record.span_id),
        span: (attempt.started, attempt.ended),
        attributes: attributes::attempt(record, attempt),
        status: attempt_status(attempt),
    };
    draft.finish(record, attempt.notes.iter())
}

/// As a server: only 5xx and failures of the sidecar are errors; a caller that
/// goes away is none.
fn request_status(record: &Record) -> Status {
    let status = effective(record.outcome.status, record.outcome.grpc_status);
    let server_error = status.is_some_and(|status| status >= 500);
    let unanswered = record.outcome.status.is_none() && !record.cancelled;
    if server_error || unanswered {
        Status::error("")
    } else {
        Status::Unset
    }
}

/// As a client: 4xx are errors too.
fn attempt_status(attempt: &Attempt) -> Status {
    let status = effective(attempt.outcome.status, attempt.outcome.grpc_status);
    let refused = status.is_some_and(|status| status >= 400);
    let unanswered = attempt.outcome.status.is_none() && !attempt.cancelled;
    if refused || unanswered || attempt.outcome.error.is_some() {
        Status::error("")
    } else {
        Status::Unset
    }
}

/// A span without what all spans of a record share.
struct Draft {
    name: String,
    span_kind: SpanKind,
    span_id: SpanId,
    parent: Option<SpanId>,
    span: (Instant, Option<Instant>),
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Draft {
    fn finish<'a>(
        self,
        record: &Record,
        notes: impl Iterator<Item = &'a (Instant, Note)>,
    ) -> SpanData {
        let incoming = record.incoming.as_ref();
        let other_flags = incoming.map_or(0, |incoming| incoming.other_flags);
        let flags = TraceFlags::new(other_flags) | TraceFlags::SAMPLED;
        let mut events = SpanEvents::default();
        events.events = notes
            .map(|(when, note)| events::of(time(record, *when), note))
            .collect();
        SpanData {
            span_context: SpanContext::new(
                record.trace_id,
                self.span_id,
                flags,
                false,
                incoming.map_or_else(TraceState::default, |incoming| {
                    incoming.to_remote().trace_state().clone()
                }),
            ),
            parent_span_id: self.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: self.span_kind != SpanKind::Client && self.parent.is_some(),
            span_kind: self.span_kind,
            name: self.name.into(),
            start_time: time(record, self.span.0),
            end_time: time(record, self.span.1.unwrap_or(self.span.0)),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: self.status,
            instrumentation_scope: SCOPE.clone(),
        }
    }
}

/// Wall-clock time of an instant: the request's start plus what the monotonic
/// clock says, so that a clock that is set meanwhile tears no trace apart.
fn time(record: &Record, when: Instant) -> SystemTime {
    record.started_at + when.saturating_duration_since(record.started)
}
