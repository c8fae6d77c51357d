//! Services that can be called: their endpoints, how one is chosen, when one is
//! left out, and how it is spoken to.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units;

/// A service that can be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `host:port` of each instance's inbound listener. With `dns`, what it finds is
    /// added to these.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Endpoints found by name, and looked up again as their records expire.
    #[serde(default)]
    pub dns: Option<Dns>,
    /// What is spoken to the endpoints.
    #[serde(default)]
    pub protocol: Protocol,
    /// TLS to the endpoints; none: plain text.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// How an endpoint is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// Time over which the share of a new or readmitted endpoint grows to its full
    /// size; none: it has it at once.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub slow_start: Option<Duration>,
    /// Probes that find out whether an endpoint can be used; none: requests find out.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// Share of requests that may be retries or hedges, for the whole cluster.
    #[serde(default)]
    pub budget: Budget,
    /// Consecutive failures after which an endpoint is ejected; 0: this does not eject.
    #[serde(default = "Cluster::default_consecutive_failures")]
    pub consecutive_failures: u32,
    /// Share of failures after which an endpoint is ejected; none: this does not eject.
    #[serde(default)]
    pub failure_share: Option<FailureShare>,
    /// Ejects endpoints that fail more than the others; none: no comparison.
    #[serde(default)]
    pub success_rate: Option<SuccessRate>,
    /// First ejection; it grows with every further one (times 1, 2, 3, …). Up to a tenth
    /// of each is left to chance.
    #[serde(default = "Cluster::default_ejection", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub ejection: Duration,
    /// Longest ejection; none: ten times the first.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub max_ejection: Option<Duration>,
    /// Largest share of the endpoints, 0 to 1, that may be ejected at once.
    #[serde(default = "Cluster::default_max_ejected")]
    pub max_ejected: f64,
    /// Time to establish a connection, TLS included.
    #[serde(default = "Cluster::default_connect_timeout", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    #[serde(default = "Cluster::default_idle_timeout", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub idle_timeout: Duration,
    /// Age after which a connection takes no new requests; none: any age.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub max_connection_age: Option<Duration>,
    /// Silence on an HTTP/2 connection with requests after which its peer is asked
    /// whether it is still there; without an answer within half of it (1 s at least) the
    /// connection is given up. None: nobody is asked.
    #[serde(
        default = "Cluster::default_keep_alive",
        with = "units::optional_duration"
    )]
    #[schemars(with = "Option<units::DurationText>")]
    pub keep_alive: Option<Duration>,
    /// Most connections to one endpoint, for each worker; a request that would need
    /// one more is shed. None: no cap.
    #[serde(default)]
    pub max_connections: Option<usize>,
}

impl Cluster {
    /// A cluster of these endpoints (`host:port`), everything else by default.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            dns: None,
            protocol: Protocol::default(),
            tls: None,
            balance: Balance::default(),
            slow_start: None,
            health_check: None,
            budget: Budget::default(),
            consecutive_failures: Self::default_consecutive_failures(),
            failure_share: None,
            success_rate: None,
            ejection: Self::default_ejection(),
            max_ejection: None,
            max_ejected: Self::default_max_ejected(),
            connect_timeout: Self::default_connect_timeout(),
            idle_timeout: Self::default_idle_timeout(),
            max_connection_age: None,
            keep_alive: Self::default_keep_alive(),
            max_connections: None,
        }
    }

    fn default_consecutive_failures() -> u32 {
        5 // Envoy's outlier detection: consecutive_5xx
    }
    fn default_ejection() -> Duration {
        // Linkerd's shortest penalty: a process that is restarted at once is missed no longer.
        Duration::from_secs(1)
    }
    fn default_max_ejected() -> f64 {
        0.5
    }
    fn default_connect_timeout() -> Duration {
        Duration::from_secs(1)
    }
    #[expect(clippy::unnecessary_wraps, reason = "it is a default for serde")]
    fn default_keep_alive() -> Option<Duration> {
        Some(Duration::from_secs(10)) // Linkerd's between proxies
    }
    fn default_idle_timeout() -> Duration {
        // Less than the 5 s after which Node.js and uvicorn close theirs, so that the
        // race for a dying connection is rare.
        Duration::from_secs(4)
    }
}

/// Endpoints found by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Name to look up, as `payments.default.svc.cluster.local`.
    pub name: String,
    /// Kind of record.
    #[serde(default)]
    pub record: DnsRecord,
    /// Port of the endpoints; needed for addresses, given by `srv` records.
    #[serde(default)]
    pub port: Option<u16>,
    /// Bounds for the time after which the name is looked up again: the record's TTL
    /// counts in between. An answer that fails keeps the last good one.
    #[serde(default = "Dns::default_min_ttl", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub min_ttl: Duration,
    /// See `min_ttl`.
    #[serde(default = "Dns::default_max_ttl", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub max_ttl: Duration,
    /// Name server, as `10.96.0.10:53`; none: the system's.
    #[serde(default)]
    #[schemars(with = "Option<units::AddressText>")]
    pub server: Option<std::net::SocketAddr>,
}

impl Dns {
    fn default_min_ttl() -> Duration {
        Duration::from_secs(1)
    }
    fn default_max_ttl() -> Duration {
        Duration::from_mins(1)
    }
}

/// Kind of DNS record that lists endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsRecord {
    /// IPv4 and IPv6 addresses.
    #[default]
    Address,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Host and port.
    Srv,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// What the caller spoke: HTTP/2 goes on as HTTP/2, HTTP/1.1 as HTTP/1.1. An
    /// upstream that turns out to lack HTTP/2 gets HTTP/1.1, but for gRPC. With TLS the
    /// upstream's choice (ALPN) decides.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS by prior knowledge.
    Http2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// Certificates (PEM) of the authorities that are trusted.
    pub ca: PathBuf,
    /// Certificate chain (PEM) that this sidecar shows; none: it shows none.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Private key (PEM) of `certificate`.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Name that the upstream's certificate must carry, also sent as SNI; none: the
    /// host of the endpoint.
    #[serde(default)]
    pub server_name: Option<String>,
    /// SPIFFE ID that the certificate must carry instead of a name, as
    /// `spiffe://example.org/ns/default/sa/payments`.
    #[serde(default)]
    pub identity: Option<String>,
}

/// How an endpoint is chosen among those that take requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The less loaded of two random endpoints; load is the peak-sensitive moving
    /// average of latency, times the requests in flight.
    #[default]
    PeakEwma,
    /// The one of two random endpoints with fewer requests in flight.
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Requests with the same value of this header go to the same endpoint, and few
    /// of them move when endpoints come or go (Maglev). Without the header: any.
    ConsistentHash {
        /// Name of the header.
        header: String,
    },
}

/// Probes of endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    #[serde(flatten)]
    pub probe: Probe,
    /// Pause between two probes of an endpoint, with a tenth of jitter.
    #[serde(default = "HealthCheck::default_interval", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub interval: Duration,
    /// Time for one probe.
    #[serde(default = "HealthCheck::default_timeout", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub timeout: Duration,
    /// Failures in a row after which an endpoint is left out.
    #[serde(default = "HealthCheck::default_unhealthy_after")]
    pub unhealthy_after: u32,
    /// Successes in a row after which it is taken back.
    #[serde(default = "HealthCheck::default_healthy_after")]
    pub healthy_after: u32,
}

impl HealthCheck {
    fn default_interval() -> Duration {
        Duration::from_secs(5)
    }
    fn default_timeout() -> Duration {
        Duration::from_secs(1)
    }
    fn default_unhealthy_after() -> u32 {
        3 // HAProxy's `fall`
    }
    fn default_healthy_after() -> u32 {
        2 // HAProxy's `rise`
    }
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// `GET` of this path; any status from 200 to 299 is healthy.
    Http(String),
    /// `grpc.health.v1.Health/Check` for this service name (empty: the whole server).
    Grpc(String),
    /// A connection can be made: `tcp: true`.
    Tcp(bool),
}

/// Ejection by share of failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureShare {
    /// Share of attempts, 0 to 1.
    pub share: f64,
    /// Fewest attempts in the window for a verdict.
    #[serde(default = "FailureShare::default_minimum")]
    pub minimum: u32,
    /// Length of the window.
    #[serde(default = "FailureShare::default_window", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub window: Duration,
}

impl FailureShare {
    fn default_minimum() -> u32 {
        50 // Envoy's failure_percentage_request_volume
    }
    fn default_window() -> Duration {
        Duration::from_secs(10) // Envoy's outlier detection interval
    }
}

/// Ejection of endpoints whose success rate is far below that of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SuccessRate {
    /// How many standard deviations below the mean are too far.
    pub deviations: f64,
    /// Fewest endpoints with enough attempts for a comparison.
    pub minimum_endpoints: usize,
    /// Fewest attempts of an endpoint in the window to be compared.
    pub minimum: u32,
    /// Length of the window.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub window: Duration,
}

impl Default for SuccessRate {
    /// Envoy's outlier detection: stdev factor 1.9, 5 hosts, 100 requests, 10 s.
    fn default() -> Self {
        Self {
            deviations: 1.9,
            minimum_endpoints: 5,
            minimum: 100,
            window: Duration::from_secs(10),
        }
    }
}

/// Retry budget: retries in the window may be at most `share` of the requests
/// plus `floor` a second. Defaults of Linkerd and Finagle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Share of requests, 0 to 1 (above 1 is allowed: a budget that stops nothing).
    pub share: f64,
    /// Retries a second that are always allowed.
    pub floor: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            share: 0.2,
            floor: 10.0,
        }
    }
}
