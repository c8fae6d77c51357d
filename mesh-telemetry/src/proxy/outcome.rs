//! How requests and attempts begin and end.

use std::sync::Arc;

use super::Flags;

/// Which side of the sidecar a request came in at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the mesh to the application.
    Inbound,
    /// From the application to the mesh.
    Outbound,
}

impl Direction {
    /// As it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// How a request ended, as the caller saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOutcome {
    /// Final status; none: the caller went away before there was one.
    pub status: Option<u16>,
    /// `grpc-status`, for gRPC.
    pub grpc_status: Option<u16>,
    /// Why the answer is what it is; `DI` and `FI` of faults are added by themselves.
    pub flags: Flags,
    /// Bounded code of a refusal or failure made by this sidecar.
    pub reason: Option<&'static str>,
    /// Bytes of the body that the caller took; none: not counted.
    pub bytes: Option<u64>,
}

/// What is known when an attempt starts.
#[derive(Clone, Debug)]
pub struct AttemptStart {
    /// 1, 2, …
    pub number: u32,
    /// `host:port` of the endpoint.
    pub endpoint: Arc<str>,
    /// Load the balancer saw there (seconds times requests in flight).
    pub load: f64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// Status of the endpoint, or put in place by a fault; none: no answer.
    pub status: Option<u16>,
    /// `grpc-status`, for gRPC.
    pub grpc_status: Option<u16>,
    /// Why; `DI` and `FI` of faults are added by themselves.
    pub flags: Flags,
    /// Bounded code of a failure without an answer, as `connection_refused` or `timeout`.
    pub error: Option<&'static str>,
    /// What the endpoint answered in; none: no answer.
    pub version: Option<http::Version>,
}

impl AttemptOutcome {
    /// The same if its answer was left unread because a fault broke it off further up.
    pub(super) fn broken_off(mut self, (reason, flags): (&'static str, Flags)) -> Self {
        if self.flags == Flags::DOWNSTREAM_CLOSED {
            self.flags = flags | Flags::FAULT_ABORT;
            self.error = Some(reason);
        }
        self
    }
}

/// Whether a sidecar that answered itself for this reason failed; it did not when the
/// policy asked for just this answer.
pub(super) fn is_failure(reason: &str) -> bool {
    !["direct_response", "redirect"].contains(&reason)
}

/// The label of a method: the known ones, else `_OTHER`.
pub(crate) fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

/// Whether a request is one of gRPC. `application/grpc-web` is another protocol.
pub(crate) fn is_grpc(headers: &http::HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The status that an answer amounts to: gRPC answers 200 and says how it went beside
/// it. Which of its codes are the server's fault is in the semantic conventions.
pub(crate) fn effective(status: Option<u16>, grpc: Option<u16>) -> Option<u16> {
    match (status, grpc) {
        (Some(200..=299), Some(2 | 4 | 12..=15)) => Some(500),
        (Some(200..=299), Some(1..)) => Some(400),
        (status, _) => status,
    }
}

/// Name of a gRPC status; of one that gRPC does not know, `UNKNOWN`.
#[must_use]
pub fn grpc_name(code: u16) -> &'static str {
    GRPC_NAMES
        .get(usize::from(code))
        .copied()
        .unwrap_or(GRPC_NAMES[2])
}

/// Number of the gRPC status with this name, as `UNAVAILABLE`.
#[must_use]
pub fn grpc_code(name: &str) -> Option<u16> {
    let code = GRPC_NAMES.iter().position(|known| *known == name)?;
    u16::try_from(code).ok()
}

/// Statuses of gRPC by their numbers.
const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
