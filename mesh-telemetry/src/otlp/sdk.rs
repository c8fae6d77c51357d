//! Spans of the SDK, as services make them.

use opentelemetry::trace::Link;
use opentelemetry_sdk::trace::SpanData;

use super::{
    Head, SpanWriter,
    attributes::{self, Pairs},
    span::flags,
    wire,
};

impl SpanWriter<'_> {
    /// The whole of it.
    pub(crate) fn sdk(&mut self, span: &SpanData) {
        let context = &span.span_context;
        self.head(&Head {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            parent: span.parent_span_id,
            parent_is_remote: span.parent_span_is_remote,
            flags: context.trace_flags(),
            state: &context.trace_state().header(),
            name: &span.name,
            kind: span.span_kind.clone(),
            started: span.start_time,
            ended: span.end_time,
        });
        attributes::all(&span.attributes, &mut self.attributes());
        for event in &span.events.events {
            self.event(event.timestamp, &event.name, |to| {
                attributes::all(&event.attributes, to);
                wire::number(to.to, 4, event.dropped_attributes_count.into());
            });
        }
        for link in &span.links.links {
            self.link(link);
        }
        wire::number(self.0, 10, span.dropped_attributes_count.into());
        wire::number(self.0, 12, span.events.dropped_count.into());
        wire::number(self.0, 14, span.links.dropped_count.into());
        self.status(&span.status);
    }

    fn link(&mut self, link: &Link) {
        let context = &link.span_context;
        wire::message(self.0, 13, |to| {
            wire::bytes(to, 1, &context.trace_id().to_bytes());
            wire::bytes(to, 2, &context.span_id().to_bytes());
            wire::bytes(to, 3, context.trace_state().header().as_bytes());
            attributes::all(&link.attributes, &mut Pairs { to, field: 4 });
            wire::number(to, 5, link.dropped_attributes_count.into());
            wire::fixed32(to, 6, flags(context.is_remote(), context.trace_flags()));
        });
    }
}
