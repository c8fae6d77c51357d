//! The context that a task works in.

use http::{HeaderMap, HeaderValue};
use opentelemetry::{Context, trace::TraceContextExt as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    context::{BAGGAGE, TraceContext, trim_baggage},
    propagation,
};

tokio::task_local! {
    /// What the request that this task answers came with.
    static INCOMING: Incoming;
}

/// Context of a request or message, as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    pub(super) context: Option<TraceContext>,
    baggage: Option<HeaderValue>,
}

impl Incoming {
    /// Of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let parent = propagation::incoming(headers);
        let context = parent.context.map(|context| TraceContext {
            sampled: parent
                .sampled
                .unwrap_or_else(|| propagation::keeps(context.trace_id)),
            ..context
        });
        let baggage = propagation::baggage().then(|| baggage(headers)).flatten();
        Self { context, baggage }
    }

    /// Of a stored `traceparent`.
    pub(super) fn stored(traceparent: &str) -> Self {
        Self {
            context: TraceContext::parse(traceparent.as_bytes()),
            baggage: None,
        }
    }

    /// Makes it the parent of `span`, which must not have been entered yet.
    pub(super) fn adopt(&self, span: &Span) {
        if let Some(context) = &self.context {
            let parent = Context::new().with_remote_span_context(context.to_remote());
            // It fails only where spans are not recorded at all.
            let _unrecorded = span.set_parent(parent);
        }
    }

    /// Runs `future` as part of what came.
    pub(crate) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        INCOMING.scope(self, future)
    }

    /// What whoever asks works on; none: nothing came from outside.
    pub(crate) fn current() -> Option<Self> {
        INCOMING.try_with(Clone::clone).ok()
    }
}

/// One value of all `baggage` headers, within the limits.
fn baggage(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut all = headers.get_all(BAGGAGE).iter();
    let first = all.next()?;
    if all.next().is_none() && first.len() < 1024 {
        return Some(first.clone()); // the usual case, within the limits by far
    }
    let mut copy = HeaderMap::new();
    let all: Vec<_> = headers
        .get_all(BAGGAGE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    copy.insert(BAGGAGE, HeaderValue::from_bytes(&all.join(&b',')).ok()?);
    trim_baggage(&mut copy);
    copy.remove(BAGGAGE)
}

/// Context of `span`, else of what the task answers.
pub(super) fn context(span: &Span) -> Option<TraceContext> {
    let recorded = TraceContext::from_sdk(span.context().span().span_context());
    recorded.or_else(|| {
        INCOMING
            .try_with(|incoming| incoming.context.clone())
            .ok()
            .flatten()
    })
}

/// Writes the context of `span` and the baggage that came into a request's headers.
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    if let Some(context) = context(span) {
        propagation::outgoing(&context, headers);
    }
    let baggage = INCOMING.try_with(|incoming| incoming.baggage.clone());
    if let Some(baggage) = baggage
        .ok()
        .flatten()
        .filter(|_| !headers.contains_key(BAGGAGE))
    {
        headers.insert(BAGGAGE, baggage);
    }
}

/// `traceparent` of the span that runs now, to be stored with a message.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = context(&Span::current())?;
    context.traceparent().to_str().ok().map(str::to_owned)
}
