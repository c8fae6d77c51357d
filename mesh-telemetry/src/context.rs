//! W3C trace context and baggage, on the wire.

use http::{HeaderMap, HeaderValue};
pub use opentelemetry::trace::{SpanId, TraceId};

/// What a request's headers say about the trace it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that sent the request.
    pub span_id: SpanId,
    /// That span is recorded.
    pub sampled: bool,
    /// Flags beside `sampled`, passed on as they came.
    pub other_flags: u8,
    /// `tracestate`, passed on as it came.
    pub tracestate: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads `traceparent` and `tracestate`; none when absent or malformed.
    #[must_use]
    pub fn extract(_headers: &HeaderMap) -> Option<Self> {
        None
    }

    /// Writes `traceparent` and `tracestate`.
    pub fn inject(&self, _headers: &mut HeaderMap) {}
}
