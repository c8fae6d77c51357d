//! What is sent at once: spans by scope, under the resource that they share.

use bytes::Bytes;
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;

use super::{
    Attributes as _, SpanWriter, Value,
    attributes::{self, Pairs},
    wire,
};

/// Room that is kept from one packet to the next; a larger one was an exception.
const KEPT: usize = 1 << 20;
/// Bytes from which on nothing more is added: gRPC's servers take no message over
/// 4 MiB, and a span with its request's path may have some dozen KiB.
const FULL: usize = 2 << 20;

/// A request to export, in the making; used again and again.
#[derive(Debug)]
pub(crate) struct Packet {
    /// All of `ResourceSpans` but the spans, written once.
    resource: Vec<u8>,
    scopes: Vec<Scope>,
    spans: usize,
}

#[derive(Debug)]
struct Scope {
    of: InstrumentationScope,
    /// All of `ScopeSpans` but the spans, written once.
    head: Vec<u8>,
    spans: Vec<u8>,
}

impl Packet {
    /// Without spans.
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut head = Vec::new();
        wire::message(&mut head, 1, |to| {
            let mut to = Pairs { to, field: 1 };
            for (key, value) in resource {
                to.with(key.as_str(), Value::from(value));
            }
        });
        let schema = resource.schema_url().unwrap_or_default();
        wire::bytes(&mut head, 3, schema.as_bytes());
        Self {
            resource: head,
            scopes: Vec::new(),
            spans: 0,
        }
    }

    /// Spans in it.
    pub(crate) fn spans(&self) -> usize {
        self.spans
    }

    /// So many bytes that collectors might not take more.
    pub(crate) fn is_full(&self) -> bool {
        self.scopes.iter().map(Scope::len).sum::<usize>() >= FULL
    }

    /// Adds a span of a scope.
    pub(crate) fn add(&mut self, scope: &InstrumentationScope, write: impl FnOnce(SpanWriter<'_>)) {
        let known = self.scopes.iter().position(|known| known.of == *scope);
        let at = known.unwrap_or_else(|| {
            self.scopes.push(Scope::new(scope));
            self.scopes.len() - 1
        });
        wire::message(&mut self.scopes[at].spans, 2, |to| write(SpanWriter(to)));
        self.spans += 1;
    }

    /// What was written as an `ExportTraceServiceRequest`; nothing is left here.
    pub(crate) fn take(&mut self) -> Bytes {
        let written = || self.scopes.iter().filter(|scope| !scope.spans.is_empty());
        let scopes: usize = written()
            .map(|scope| 1 + wire::field_len(scope.len()))
            .sum();
        let length = self.resource.len() + scopes;
        let mut all = Vec::with_capacity(1 + wire::field_len(length));
        wire::length(&mut all, 1, length);
        all.extend_from_slice(&self.resource);
        for scope in written() {
            wire::length(&mut all, 2, scope.len());
            all.extend_from_slice(&scope.head);
            all.extend_from_slice(&scope.spans);
        }
        for scope in &mut self.scopes {
            scope.spans.clear();
            scope.spans.shrink_to(KEPT);
        }
        self.spans = 0;
        all.into()
    }
}

impl Scope {
    fn new(scope: &InstrumentationScope) -> Self {
        let mut head = Vec::new();
        wire::message(&mut head, 1, |to| {
            wire::bytes(to, 1, scope.name().as_bytes());
            wire::bytes(to, 2, scope.version().unwrap_or_default().as_bytes());
            attributes::all(scope.attributes(), &mut Pairs { to, field: 3 });
        });
        let schema = scope.schema_url().unwrap_or_default();
        wire::bytes(&mut head, 3, schema.as_bytes());
        Self {
            of: scope.clone(),
            head,
            spans: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.head.len() + self.spans.len()
    }
}
