//! Everything that can go wrong with a request, as one closed enum with a table
//! for each question that is asked about it. Nobody downcasts, and only
//! [`rescue`](crate::layers) makes a response of it.

mod fault;

use std::{io, sync::Arc, time::Duration};

use http::StatusCode;
use mesh_telemetry::proxy::Flags;

use crate::{
    config::{Problem, RetryOn},
    policy::ROOM_AFTER,
};
pub(crate) use fault::{Blow, Fault, Words};

/// Why a request, or one attempt of it, failed at this sidecar.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// `CONNECT` asks for a tunnel, which routing and telemetry could not see into, and
    /// the listener does not allow it.
    #[error(
        "CONNECT is not allowed here: send the request itself, in absolute form, or allow tunnels with `outbound.limits.allow_connect`"
    )]
    ConnectMethod,
    /// The request can be understood in two ways.
    #[error("the request is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// The head has more fields than the listener bears.
    #[error("the request has more than {most} header fields")]
    TooManyHeaders {
        /// `max_headers` of the listener.
        most: usize,
    },
    /// No route matches.
    #[error(
        "no route matches authority `{authority}`, method and path; `GET /config` of the admin API lists the routes"
    )]
    NoRoute {
        /// The authority that was asked for.
        authority: String,
    },
    /// What the route makes of the path is longer than a URI can be.
    #[error("the rewritten path is longer than a URI can be")]
    PathTooLong,
    /// A deny rule of the inbound policy matches.
    #[error("denied by the policy of this service")]
    Denied,
    /// The token bucket is empty.
    #[error("the rate limit is reached")]
    RateLimited {
        /// When there is a token again.
        wait: Duration,
    },
    /// The cap of requests in flight is reached.
    #[error("too many requests are in flight")]
    Overload,
    /// The cap of requests in flight that finds its own size is reached.
    #[error("too many requests are in flight for the latency that is seen now")]
    AdaptiveLimit,
    /// The request has more body than the policy allows.
    #[error("the body of the request is over the limit of {limit} bytes")]
    BodyTooLarge {
        /// `max_body`.
        limit: u64,
    },
    /// The deadline passed.
    #[error("the deadline passed before there was an answer")]
    Deadline,
    /// The cluster has no endpoints, or breaker and health checks took out all of them.
    #[error(
        "no endpoint of `{cluster}` takes requests (of {endpoints}, {ejected} ejected and {unhealthy} unhealthy)"
    )]
    NoEndpoint {
        /// The cluster.
        cluster: Arc<str>,
        /// How many endpoints it has.
        endpoints: usize,
        /// How many of them are ejected.
        ejected: usize,
        /// How many of them have failed their health checks.
        unhealthy: usize,
    },
    /// No connection could be made.
    #[error("no connection to {endpoint}: {cause}")]
    Connect {
        /// `host:port`.
        endpoint: Arc<str>,
        /// What the system said.
        cause: io::Error,
    },
    /// The connection was not made in time.
    #[error("no connection to {endpoint} within {after:?}")]
    ConnectTimeout {
        /// `host:port`.
        endpoint: Arc<str>,
        /// The cluster's `connect_timeout`.
        after: Duration,
    },
    /// There is a connection, but no TLS session over it.
    #[error("the TLS handshake with {endpoint} failed: {cause}")]
    TlsHandshake {
        /// `host:port`.
        endpoint: Arc<str>,
        /// What was wrong.
        cause: io::Error,
    },
    /// The upstream has a sound certificate, which is not that of whom was asked for.
    #[error("{endpoint} is not who should be there: {cause}")]
    TlsIdentity {
        /// `host:port`.
        endpoint: Arc<str>,
        /// Who was expected and who is there.
        cause: io::Error,
    },
    /// The connection broke before the head of the answer.
    #[error("the connection to {endpoint} broke before an answer: {cause}")]
    Reset {
        /// `host:port`.
        endpoint: Arc<str>,
        /// What hyper said.
        cause: hyper::Error,
    },
    /// What came back is not HTTP.
    #[error("{endpoint} did not answer in proper HTTP: {cause}")]
    Protocol {
        /// `host:port`.
        endpoint: Arc<str>,
        /// What is wrong with it.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP/2 peer says that it has not begun with the request.
    #[error("{endpoint} refused the request before it began with it: {cause}")]
    RefusedStream {
        /// `host:port`.
        endpoint: Arc<str>,
        /// What hyper said.
        cause: hyper::Error,
    },
    /// The request would need one connection more than the policy allows.
    #[error("all connections to {endpoint} that `max_connections` allows are in use")]
    ConnectionLimit {
        /// `host:port`.
        endpoint: Arc<str>,
    },
    /// The caller's body broke off while it was being sent.
    #[error("the body of the request broke off: {0}")]
    RequestBody(hyper::Error),
    /// The attempt timeout passed.
    #[error("no answer within the attempt timeout")]
    AttemptTimeout,
    /// Nothing moved for as long as a stream may be silent.
    #[error("nothing was sent for longer than `idle_timeout`")]
    Idle,
    /// The same, while it was the caller who had more to send.
    #[error("the request's body was not continued within `idle_timeout`")]
    SilentCaller,
    /// The sidecar ends.
    #[error("this sidecar is being stopped")]
    Drained,
    /// A chaos rule ended it.
    #[error("{0}")]
    Fault(Fault),
    /// The last of all attempts that the policy allows.
    #[error("{0} (the last of all attempts)")]
    RetriesExhausted(Box<ProxyError>),
}

/// Whose doing an error is: what the breaker's vote and the span's status follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller's: no endpoint is to blame.
    Caller,
    /// This sidecar refused, on purpose.
    Local,
    /// The endpoint's, or what imitates it.
    Upstream,
}

impl ProxyError {
    /// Bounded code in `x-mesh-reason`, metrics and spans.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectMethod => "connect_not_supported",
            Self::Ambiguous(_) => "ambiguous_request",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::NoRoute { .. } => "no_route",
            Self::PathTooLong => "path_too_long",
            Self::Denied => "denied",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overload => "overload",
            Self::AdaptiveLimit => "adaptive_limit",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::Deadline => "deadline",
            Self::NoEndpoint { .. } => "no_healthy_upstream",
            Self::Connect { cause, .. } if cause.kind() == io::ErrorKind::ConnectionRefused => {
                "connection_refused"
            }
            Self::Connect { .. } => "connect_failure",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::TlsHandshake { .. } => "tls_handshake",
            Self::TlsIdentity { .. } => "tls_identity",
            Self::Reset { .. } => "upstream_reset",
            Self::Protocol { .. } => "upstream_protocol",
            Self::RefusedStream { .. } => "refused_stream",
            Self::ConnectionLimit { .. } => "connection_limit",
            Self::RequestBody(_) => "request_body",
            Self::AttemptTimeout => "attempt_timeout",
            Self::Idle | Self::SilentCaller => "idle_timeout",
            Self::Drained => "drained",
            Self::Fault(fault) => fault.reason(),
            Self::RetriesExhausted(last) => last.reason(),
        }
    }

    /// Status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Ambiguous(_) | Self::RequestBody(_) => StatusCode::BAD_REQUEST,
            Self::SilentCaller => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overload
            | Self::AdaptiveLimit
            | Self::Drained
            | Self::ConnectionLimit { .. }
            | Self::RefusedStream { .. }
            | Self::NoEndpoint { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::TlsHandshake { .. }
            | Self::TlsIdentity { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline | Self::AttemptTimeout | Self::Idle => StatusCode::GATEWAY_TIMEOUT,
            Self::Reset { .. } | Self::Protocol { .. } => StatusCode::BAD_GATEWAY,
            Self::Fault(fault) => fault.status(),
            Self::RetriesExhausted(last) => last.status(),
        }
    }

    /// Envoy's letters. `FI` of a fault is added by telemetry.
    #[must_use]
    pub fn flags(&self) -> Flags {
        match self {
            Self::ConnectMethod
            | Self::Ambiguous(_)
            | Self::PathTooLong
            | Self::TooManyHeaders { .. }
            | Self::Denied
            | Self::Drained
            | Self::BodyTooLarge { .. }
            | Self::SilentCaller => Flags::NONE,
            Self::Fault(fault) => fault.flags(),
            Self::NoRoute { .. } => Flags::NO_ROUTE,
            Self::RateLimited { .. } => Flags::RATE_LIMITED,
            Self::Overload | Self::AdaptiveLimit | Self::ConnectionLimit { .. } => Flags::OVERFLOW,
            Self::Deadline | Self::AttemptTimeout | Self::Idle => Flags::UPSTREAM_TIMEOUT,
            Self::NoEndpoint { .. } => Flags::NO_HEALTHY_UPSTREAM,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::TlsHandshake { .. }
            | Self::TlsIdentity { .. } => Flags::UPSTREAM_CONNECT,
            Self::Reset { .. } | Self::Protocol { .. } | Self::RefusedStream { .. } => {
                Flags::UPSTREAM_CLOSED
            }
            Self::RequestBody(_) => Flags::DOWNSTREAM_CLOSED,
            Self::RetriesExhausted(last) => last.flags() | Flags::RETRIES_EXHAUSTED,
        }
    }

    /// Condition under which an attempt that failed so may be repeated; none: never.
    #[must_use]
    pub fn retry(&self) -> Option<RetryOn> {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::TlsHandshake { .. }
            | Self::TlsIdentity { .. } => Some(RetryOn::ConnectFailure),
            Self::Reset { .. } | Self::Protocol { .. } => Some(RetryOn::Reset),
            Self::RefusedStream { .. } => Some(RetryOn::RefusedStream),
            Self::AttemptTimeout => Some(RetryOn::AttemptTimeout),
            Self::Fault(fault) => fault.retry(),
            Self::ConnectMethod
            | Self::Ambiguous(_)
            | Self::TooManyHeaders { .. }
            | Self::NoRoute { .. }
            | Self::PathTooLong
            | Self::Denied
            | Self::RateLimited { .. }
            | Self::Overload
            | Self::AdaptiveLimit
            | Self::BodyTooLarge { .. }
            | Self::ConnectionLimit { .. }
            | Self::Idle
            | Self::SilentCaller
            | Self::Drained
            | Self::Deadline
            | Self::NoEndpoint { .. }
            | Self::RequestBody(_)
            | Self::RetriesExhausted(_) => None,
        }
    }

    /// When the same request may succeed, for `Retry-After`; none: nobody knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait } => Some(*wait),
            Self::Overload | Self::AdaptiveLimit => Some(ROOM_AFTER),
            _ => None,
        }
    }

    /// The fault that ended it, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::RetriesExhausted(last) => last.fault(),
            _ => None,
        }
    }

    /// Whose doing it is.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::ConnectMethod
            | Self::Ambiguous(_)
            | Self::TooManyHeaders { .. }
            | Self::NoRoute { .. }
            | Self::PathTooLong
            | Self::BodyTooLarge { .. }
            | Self::SilentCaller
            | Self::RequestBody(_) => Side::Caller,
            Self::Denied
            | Self::RateLimited { .. }
            | Self::Overload
            | Self::AdaptiveLimit
            | Self::Drained
            | Self::ConnectionLimit { .. }
            | Self::NoEndpoint { .. } => Side::Local,
            Self::Deadline
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::TlsHandshake { .. }
            | Self::TlsIdentity { .. }
            | Self::Reset { .. }
            | Self::Protocol { .. }
            | Self::RefusedStream { .. }
            | Self::AttemptTimeout
            | Self::Idle
            | Self::Fault(_) => Side::Upstream,
            Self::RetriesExhausted(last) => last.side(),
        }
    }
}

/// Why a sidecar could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be put in force.
    #[error("the configuration has {} problem(s):\n{}", .0.len(), list(.0))]
    Config(Vec<Problem>),
    /// The configuration file cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A running sidecar could not be asked.
    #[error(
        "the admin API at {address} cannot be asked: {cause}; its address is `admin` of the sidecar's configuration"
    )]
    Admin {
        /// Where it was expected.
        address: std::net::SocketAddr,
        /// What went wrong.
        cause: String,
    },
    /// A needed option is missing.
    #[error("{0} is needed: give it as an option, or a whole configuration with --config FILE")]
    Missing(&'static str),
    /// A listener could not be opened.
    #[error(
        "cannot listen on {address} ({listener}): {cause}; stop what listens there or change `{listener}`"
    )]
    Listen {
        /// Key of the address in the configuration.
        listener: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A worker's thread or runtime could not be made.
    #[error("worker {index} could not be started: {cause}")]
    Worker {
        /// Which, from 0.
        index: usize,
        /// What the system said.
        cause: io::Error,
    },
    /// Telemetry could not be switched on.
    #[error(transparent)]
    Telemetry(#[from] mesh_telemetry::TelemetryError),
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect();
    lines.join("\n")
}
