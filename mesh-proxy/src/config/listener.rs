//! Where a sidecar listens, and what it bears from those who connect.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units;

/// Listener for requests that come from the mesh to the application.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundListener {
    /// Address to bind.
    #[schemars(with = "units::AddressText")]
    pub listen: SocketAddr,
    /// Where the application listens.
    #[schemars(with = "units::AddressText")]
    pub application: SocketAddr,
    /// TLS of the listener; none: plain text.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// What is borne from callers.
    #[serde(default)]
    pub limits: ListenerLimits,
}

impl InboundListener {
    /// Plain text from `listen` to `application`, within the default limits.
    #[must_use]
    pub fn new(listen: SocketAddr, application: SocketAddr) -> Self {
        Self {
            listen,
            application,
            tls: None,
            limits: ListenerLimits::default(),
        }
    }
}

/// Listener for requests that the application sends.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundListener {
    /// Address to bind.
    #[schemars(with = "units::AddressText")]
    pub listen: SocketAddr,
    /// What is borne from the application.
    #[serde(default)]
    pub limits: ListenerLimits,
}

impl OutboundListener {
    /// A listener with the default limits.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            limits: ListenerLimits::default(),
        }
    }
}

/// What a listener bears. Everything here is per connection or per request; what is
/// over it is refused or closed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerLimits {
    /// Connections at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// Time for the head of a request to come, and for an HTTP/2 preface.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub head_timeout: Duration,
    /// Most header fields of a request.
    pub max_headers: usize,
    /// Most bytes of a request's head.
    #[serde(with = "units::size")]
    #[schemars(with = "units::SizeText")]
    pub max_head: u64,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a connection without a request is kept; none: for ever.
    #[serde(with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub idle_timeout: Option<Duration>,
    /// Age after which a connection is asked to end (`GOAWAY`, `Connection: close`),
    /// with a tenth of jitter; none: any age.
    #[serde(with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub max_connection_age: Option<Duration>,
    /// Whether `CONNECT` opens a tunnel to a cluster of the asked name. A tunnel is not
    /// seen into: no routes, retries or faults inside it.
    pub allow_connect: bool,
    /// What requests and answers say about this hop.
    pub forwarded: Forwarded,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            head_timeout: Duration::from_secs(30), // hyper's
            max_headers: 100,                      // hyper's and Envoy's
            max_head: 64 * 1024,                   // Envoy's 60 KiB, rounded
            max_streams: 200,
            idle_timeout: None,
            max_connection_age: None,
            allow_connect: false,
            forwarded: Forwarded::Off,
        }
    }
}

/// What requests and answers say about this hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Forwarded {
    /// Nothing: a sidecar is part of its application.
    #[default]
    Off,
    /// `Via` and `Forwarded` (RFC 7239) are added to what is there.
    Append,
    /// What callers say about earlier hops is removed, then as `append`.
    Replace,
}

/// TLS of a listener. TLS 1.3 only; HTTP/2 and HTTP/1.1 are offered (ALPN).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificate chain (PEM) that callers are shown.
    pub certificate: PathBuf,
    /// Private key (PEM) of `certificate`.
    pub key: PathBuf,
    /// Certificates (PEM) of the authorities that callers' certificates must come from;
    /// none: callers need no certificate.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Whether plain text is taken, too, on the same port.
    #[serde(default)]
    pub permissive: bool,
}

/// A line for each request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Where lines go: a file that is appended to, or `-` for standard output.
    pub to: PathBuf,
    /// How a line is written.
    #[serde(default)]
    pub format: LogFormat,
    /// Share of requests that get a line, 0 to 1. Failed, retried and faulted requests
    /// always do.
    #[serde(default = "AccessLog::all")]
    pub sample: f64,
}

impl AccessLog {
    fn all() -> f64 {
        1.0
    }
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}
