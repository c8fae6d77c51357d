//! One span in the store: its bytes and the facts that lists ask for.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message;

use super::intern::{Interner, Weight};
use crate::names::{attribute, event};

/// 16 bytes, as on the wire.
pub(crate) type TraceId = [u8; 16];

/// 8 bytes, as on the wire.
pub(crate) type SpanId = [u8; 8];

/// Who made a span: shared by all spans of a process and a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// `service.name`.
    pub(crate) service: String,
    /// The whole resource, encoded.
    pub(crate) resource: Vec<u8>,
    /// Instrumentation scope.
    pub(crate) scope: String,
    /// Its version.
    pub(crate) scope_version: String,
}

impl AsRef<Self> for Origin {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Weight for Origin {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.service.len()
            + self.resource.len()
            + self.scope.len()
            + self.scope_version.len()
    }
}

impl Origin {
    pub(crate) fn resource(&self) -> Resource {
        Resource::decode(self.resource.as_slice()).unwrap_or_default()
    }
}

/// A span that passed the receiver: ids are sound, sizes bounded.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// Shared by all spans of an export that have it: a resource can be large.
    pub(crate) origin: Arc<Origin>,
    /// The rest; ids and name are taken from above.
    pub(crate) span: Span,
}

/// A span in the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) origin: Arc<Origin>,
    pub(crate) name: Arc<str>,
    /// Its status is an error.
    pub(crate) error: bool,
    /// An attempt beyond the first.
    pub(crate) retry: bool,
    /// A span of this id came again, and was another one.
    pub(crate) repeated: bool,
    /// HTTP status.
    pub(crate) status: Option<u16>,
    pub(crate) kind: i32,
    /// Ids of the rules that hit it.
    pub(crate) faults: Box<[Arc<str>]>,
    /// The span without ids and name, encoded.
    pub(crate) payload: Bytes,
}

impl Received {
    pub(super) fn store(self, origins: &mut Interner<Origin>, names: &mut Interner<str>) -> Stored {
        let mut span = self.span;
        let name = names.intern(std::mem::take(&mut span.name));
        for id in [
            &mut span.trace_id,
            &mut span.span_id,
            &mut span.parent_span_id,
        ] {
            id.clear();
        }
        Stored {
            id: self.span_id,
            parent: self.parent,
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            origin: origins.intern(self.origin),
            name,
            error: is_error(&span),
            retry: is_retry(&span.attributes),
            repeated: false,
            status: status(&span.attributes),
            kind: span.kind,
            faults: faults(&span),
            payload: span.encode_to_vec().into(),
        }
    }
}

impl Stored {
    /// What it takes of the store.
    pub(super) fn bytes(&self) -> usize {
        let faults: usize = self.faults.iter().map(|rule| rule.len() + 32).sum();
        size_of::<Self>() + self.payload.len() + faults
    }

    /// The very same span again is an export that was repeated.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.parent == other.parent && self.name == other.name && self.payload == other.payload
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// The span as it came, but for ids and name.
    pub(crate) fn decode(&self) -> Span {
        Span::decode(self.payload.clone()).unwrap_or_default()
    }
}

/// An attribute's value by key.
pub(crate) fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|one| one.key == key)?;
    match &found.value {
        Some(AnyValue { value }) => value.as_ref(),
        None => None,
    }
}

fn is_error(span: &Span) -> bool {
    span.status
        .as_ref()
        .is_some_and(|status| status.code == StatusCode::Error as i32)
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match find(attributes, key)? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn is_retry(attributes: &[KeyValue]) -> bool {
    match number(attributes, attribute::ATTEMPT) {
        Some(attempt) => attempt > 1,
        None => number(attributes, attribute::RESEND).is_some_and(|count| count > 0),
    }
}

fn status(attributes: &[KeyValue]) -> Option<u16> {
    let status = number(attributes, attribute::STATUS)?;
    u16::try_from(status).ok()
}

/// Ids of the rules that hit a span.
pub(crate) fn faults(span: &Span) -> Box<[Arc<str>]> {
    let rules = span
        .events
        .iter()
        .filter(|one| one.name == event::FAULT)
        .filter_map(|one| match find(&one.attributes, attribute::RULE)? {
            Value::StringValue(rule) => Some(Arc::from(rule.as_str())),
            _ => None,
        });
    rules.collect()
}
