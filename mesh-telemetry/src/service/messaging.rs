//! PRODUCER and CONSUMER spans of messages.

use opentelemetry::KeyValue;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::current::Incoming;

/// The shop's messages go through its own outbox.
const SYSTEM: &str = "outbox";

/// Stores or sends a message under a PRODUCER span, as `publish order.created`.
/// [`current_traceparent`](super::current_traceparent) inside it is what
/// [`process`] wants to hear.
pub async fn publish<T>(
    destination: &'static str,
    message_id: &str,
    future: impl Future<Output = T>,
) -> T {
    let span = span("publish", "send", "producer", destination, message_id);
    future.instrument(span).await
}

/// Handles a message under a CONSUMER span, as `process order.created`, whose parent
/// and link is the span that stored the message.
pub async fn process<T>(
    destination: &'static str,
    message_id: &str,
    creation_traceparent: &str,
    future: impl Future<Output = T>,
) -> T {
    let creation = Incoming::stored(creation_traceparent);
    let span = span("process", "process", "consumer", destination, message_id);
    creation.adopt(&span);
    link(&span, &creation, message_id);
    creation.scope(future).instrument(span).await
}

/// Sends a stored message on, under an INTERNAL span `relay order.created`. The first
/// try stands in the trace of the span that stored the message. Every further one is
/// a trace of its own, linked to it: a fault's draw is a function of the trace, so
/// that in one trace every try would meet the fate of the first.
pub async fn relay<T>(
    destination: &str,
    message_id: &str,
    creation_traceparent: &str,
    attempt: u32,
    future: impl Future<Output = T>,
) -> T {
    let creation = Incoming::stored(creation_traceparent);
    let span = span("relay", "send", "internal", destination, message_id);
    if attempt > 1 {
        link(&span, &creation, message_id);
        return future.instrument(span).await;
    }
    creation.adopt(&span);
    creation.scope(future).instrument(span).await
}

fn link(span: &Span, creation: &Incoming, message_id: &str) {
    if let Some(context) = &creation.context {
        let attribute = KeyValue::new("messaging.message.id", message_id.to_owned());
        span.add_link_with_attributes(context.to_remote(), vec![attribute]);
    }
}

fn span(
    operation: &'static str,
    operation_type: &'static str,
    kind: &'static str,
    destination: &str,
    message_id: &str,
) -> Span {
    tracing::info_span!(
        "message",
        otel.name = format!("{operation} {destination}"),
        otel.kind = kind,
        messaging.system = SYSTEM,
        messaging.operation.name = operation,
        "messaging.operation.type" = operation_type,
        messaging.destination.name = destination,
        messaging.message.id = message_id,
    )
}
