//! Headers that sidecars write for each other.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Milliseconds that the caller has left.
pub(crate) const DEADLINE_MS: HeaderName = HeaderName::from_static("x-mesh-deadline-ms");

/// Service that sends; a claim until there are identities.
pub(crate) const SOURCE: HeaderName = HeaderName::from_static("x-mesh-source");

/// Which attempt of the caller's sidecar a request is; absent: the first. A fault
/// at a node draws anew for each.
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static("x-mesh-attempt");

/// What the first caller spoke, when a sidecar carries it over something else.
pub(crate) const PROTOCOL: HeaderName = HeaderName::from_static("x-mesh-protocol");

/// Its one value: HTTP/1.1.
pub(crate) const HTTP1: &str = "http1";

/// Bounded code of a response that a sidecar made itself.
pub(crate) const REASON: HeaderName = HeaderName::from_static("x-mesh-reason");

/// Makes any method safe to repeat, for applications that honour it.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What all of the mesh's own headers begin with.
pub(crate) const PREFIX: &str = "x-mesh-";

/// Whether a byte may stand in a token (RFC 9110, 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether sidecars write this header for each other: nobody else may. Others that begin
/// with [`PREFIX`] are for applications of the mesh.
pub(crate) fn is_written_by_sidecars(name: &HeaderName) -> bool {
    [DEADLINE_MS, SOURCE, ATTEMPT, PROTOCOL, REASON].contains(name)
}

/// A header as a number; none when absent or malformed.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())?
        .parse()
        .ok()
}

/// A header as text; none when absent or not ASCII.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A configured name as a header; checked names are ASCII.
pub(crate) fn value(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("unknown"))
}
