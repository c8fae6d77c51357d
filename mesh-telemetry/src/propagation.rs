//! Which headers carry contexts, as `OTEL_PROPAGATORS` says.

use std::sync::OnceLock;

use http::HeaderMap;

use crate::context::TraceContext;

/// Whether `traceparent` is read and written; unset: it is.
static TRACE_CONTEXT: OnceLock<bool> = OnceLock::new();
/// Whether a service passes `baggage` on; unset: it does.
static BAGGAGE: OnceLock<bool> = OnceLock::new();

/// The first choice in a process stands.
pub(crate) fn choose(trace_context: bool, baggage: bool) {
    TRACE_CONTEXT.get_or_init(|| trace_context);
    BAGGAGE.get_or_init(|| baggage);
}

/// The caller's context, when it sent one that is well-formed.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<TraceContext> {
    let on = TRACE_CONTEXT.get().copied().unwrap_or(true);
    on.then(|| TraceContext::extract(headers)).flatten()
}

/// The callee's context.
pub(crate) fn outgoing(context: &TraceContext, headers: &mut HeaderMap) {
    if TRACE_CONTEXT.get().copied().unwrap_or(true) {
        context.inject(headers);
    }
}

/// Whether a service passes baggage on.
pub(crate) fn baggage() -> bool {
    BAGGAGE.get().copied().unwrap_or(true)
}
