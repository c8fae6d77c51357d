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
    if let Some(context) = &creation.context {
        let attribute = KeyValue::new("messaging.message.id", message_id.to_owned());
        span.add_link_with_attributes(context.to_remote(), vec![attribute]);
    }
    creation.scope(future).instrument(span).await
}

/// Sends a stored message on, under an INTERNAL span `relay order.created` in the
/// trace of the span that stored it: each try shows there.
pub async fn relay<T>(
    destination: &str,
    message_id: &str,
    creation_traceparent: &str,
    future: impl Future<Output = T>,
) -> T {
    let creation = Incoming::stored(creation_traceparent);
    let span = span("relay", "send", "internal", destination, message_id);
    creation.adopt(&span);
    creation.scope(future).instrument(span).await
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
