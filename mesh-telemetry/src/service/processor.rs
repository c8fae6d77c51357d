//! The end of the SDK's pipeline: spans go to the queue that sidecars use too.
//!
//! The SDK's own batch processor would do, but it tells nobody how many spans it
//! dropped, and blocks the runtime it was made in while the process ends.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{
    Context,
    trace::{Status, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor},
};

use crate::{exemplar::Pending, export::Queue, sampling::Sampling};

/// Scope of database spans, which are made without `tracing`.
static DATABASE: OnceLock<SdkTracer> = OnceLock::new();

/// Where spans go, for what leads to them.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Whether spans go anywhere.
pub(super) fn exports() -> bool {
    QUEUE.get().is_some()
}

/// Sends what leads to a span that ends next.
pub(super) fn offer(pending: Pending) {
    if let Some(queue) = QUEUE.get() {
        queue.offer_exemplar(pending);
    }
}

/// The tracer of database spans, once a service is installed.
pub(super) fn database() -> Option<&'static SdkTracer> {
    DATABASE.get()
}

/// The SDK with this queue at its end.
pub(crate) fn provider(sampling: Sampling, resource: Resource, queue: Queue) -> SdkTracerProvider {
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampling.to_sdk())
        .with_resource(resource)
        .with_span_processor(ToQueue(queue.clone()))
        .build();
    QUEUE.get_or_init(|| queue);
    DATABASE.get_or_init(|| provider.tracer("sqlx"));
    provider
}

/// An error has a type: the spans made here set both by the rules of the semantic
/// conventions. tracing-opentelemetry also makes one of every logged line of level
/// `ERROR`, whatever its options say, and that is taken back.
fn settle_status(span: &mut SpanData) {
    let typed = span
        .attributes
        .iter()
        .any(|pair| pair.key.as_str() == "error.type");
    if !typed && matches!(span.status, Status::Error { .. }) {
        span.status = Status::Unset;
    }
}

/// Hands finished spans over; never waits.
#[derive(Debug)]
struct ToQueue(Queue);

impl SpanProcessor for ToQueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if span.span_context.is_sampled() {
            settle_status(&mut span);
            self.0.offer_span(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(()) // the queue's thread sends within half a second anyway
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(()) // `Telemetry::shutdown` ends the queue
    }
}
