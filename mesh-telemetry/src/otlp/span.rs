//! One span.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceFlags, TraceId};

use super::{attributes::Pairs, wire};

/// Says that the next bit means something.
const KNOWS_REMOTE: u32 = 0x100;
/// The parent is in another process.
const REMOTE: u32 = 0x200;

/// What every span has.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// Invalid: it is a root.
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) flags: TraceFlags,
    /// `tracestate` as in the header; empty: none.
    pub(crate) state: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: SpanKind,
    pub(crate) started: SystemTime,
    pub(crate) ended: SystemTime,
}

/// A span that is being written.
pub(crate) struct SpanWriter<'a>(pub(super) &'a mut Vec<u8>);

impl SpanWriter<'_> {
    /// The part that every span has.
    pub(crate) fn head(&mut self, head: &Head<'_>) {
        let to = &mut *self.0;
        wire::bytes(to, 1, &head.trace_id.to_bytes());
        wire::bytes(to, 2, &head.span_id.to_bytes());
        wire::bytes(to, 3, head.state.as_bytes());
        if head.parent != SpanId::INVALID {
            wire::bytes(to, 4, &head.parent.to_bytes());
        }
        wire::bytes(to, 5, head.name.as_bytes());
        wire::number(to, 6, kind(&head.kind));
        wire::fixed64(to, 7, nanos(head.started));
        wire::fixed64(to, 8, nanos(head.ended));
        wire::fixed32(to, 16, flags(head.parent_is_remote, head.flags));
    }

    /// Where its attributes go.
    pub(crate) fn attributes(&mut self) -> Pairs<'_> {
        Pairs {
            to: self.0,
            field: 9,
        }
    }

    /// Something that happened, with attributes.
    pub(crate) fn event(
        &mut self,
        when: SystemTime,
        name: &str,
        attributes: impl FnOnce(&mut Pairs<'_>),
    ) {
        wire::message(self.0, 11, |to| {
            wire::fixed64(to, 1, nanos(when));
            wire::bytes(to, 2, name.as_bytes());
            attributes(&mut Pairs { to, field: 3 });
        });
    }

    /// How it ended. The message is there even when it says nothing.
    pub(crate) fn status(&mut self, status: &Status) {
        wire::message(self.0, 15, |to| match status {
            Status::Unset => {}
            Status::Ok => wire::number(to, 3, 1),
            Status::Error { description } => {
                wire::bytes(to, 2, description.as_bytes());
                wire::number(to, 3, 2);
            }
        });
    }
}

/// Flags of a context, and whether another process has it.
pub(super) fn flags(remote: bool, flags: TraceFlags) -> u32 {
    let remote = if remote { REMOTE } else { 0 };
    KNOWS_REMOTE | remote | u32::from(flags.to_u8())
}

/// Since 1970; zero for times before.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}
