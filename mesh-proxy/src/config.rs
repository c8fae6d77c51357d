//! What a sidecar is told: the file form, which is also the form of the
//! console's snapshots.
//!
//! [`SidecarConfig`] says who the sidecar is and where it listens; it is read
//! once, at start. [`Policy`] says what it does with requests; it comes with
//! the file or, revision by revision, from the console, and can be swapped at
//! any time. [`check`] is the only way from the raw form to the one that the
//! request path reads, and it reports every problem at once.

pub mod chaos;
mod check;
pub mod cluster;
pub mod inbound;
pub mod limits;
pub mod listener;
pub mod policy;
pub mod retry;
pub mod route;
mod schema;
pub mod units;

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chaos::{
    Abort, Arm, Delay, FaultKind, Guard, Place, Position, Rule, RuleMatch, Schedule, Throttle,
    Truncate,
};
pub(crate) use check::check_here;
pub use check::{Problem, check, check_sidecar, near::known as known_names};
pub use cluster::{
    Balance, Budget, Cluster, Dns, DnsRecord, FailureShare, HealthCheck, Probe, Protocol,
    SuccessRate, UpstreamTls,
};
pub use inbound::{Deny, InboundPolicy, Testers};
pub use limits::{AdaptiveLimit, RateLimit, RateLimitPer};
pub use listener::{
    AccessLog, Forwarded, InboundListener, ListenerLimits, ListenerTls, LogFormat, OutboundListener,
};
pub use policy::Policy;
pub use retry::{Hedge, RetryOn, RetryPolicy};
pub use route::{
    FieldMatch, HeaderChanges, Mirror, Redirect, Respond, Rewrite, Route, RouteMatch, Split,
};
pub use schema::schema;

/// One sidecar: who it speaks for, where it listens, and the policy it starts with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SidecarConfig {
    /// Name of the service this sidecar stands beside; `source` of what it sends.
    pub service: String,
    /// Name of this instance, as `payments-2`; unique in the mesh.
    pub instance: String,
    /// Where requests from the mesh arrive, and the application they go to.
    #[serde(default)]
    pub inbound: Option<InboundListener>,
    /// Where the application sends its requests.
    #[serde(default)]
    pub outbound: Option<OutboundListener>,
    /// Listener of the admin API: it can change things, so loopback only by default.
    #[schemars(with = "units::AddressText")]
    pub admin: SocketAddr,
    /// Listener of `/metrics` and `/health/*`, which can change nothing.
    #[schemars(with = "units::AddressText")]
    pub metrics: SocketAddr,
    /// Threads that handle requests, each with a runtime, listeners and
    /// connections of its own; one is enough for most.
    #[serde(default = "SidecarConfig::one_worker")]
    pub workers: usize,
    /// Base URL of the console that sends snapshots; none: the file is all there is.
    #[serde(default)]
    pub control: Option<String>,
    /// Whether the console takes this instance in although its mesh file does not list
    /// it; then `inbound.listen` is where others reach it.
    #[serde(default)]
    pub guest: bool,
    /// Where spans go and how many.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// A line for each request; none: no such log.
    #[serde(default)]
    pub access_log: Option<AccessLog>,
    /// Policy to start with, in force until the console sends its first snapshot.
    #[serde(default)]
    pub policy: Policy,
}

impl SidecarConfig {
    fn one_worker() -> usize {
        1
    }

    /// Reads YAML; an error shows the place, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

/// Export of spans.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// OTLP/gRPC endpoint, as `http://127.0.0.1:4317`; none: spans are not exported.
    pub otlp: Option<String>,
    /// Share of new traces that are kept, 0 to 1. Faulted, retried, refused and
    /// failed requests are kept whatever this says.
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    /// No export, and the 1 % that a lone sidecar keeps.
    fn default() -> Self {
        Self {
            otlp: None,
            sample_ratio: 0.01,
        }
    }
}

/// One revision of a sidecar's policy, as the console sends it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Grows with every change in the console; acknowledged by the sidecar.
    pub revision: u64,
    /// The whole policy of this revision.
    pub policy: Policy,
}

/// First message of a sidecar to the console: body of `POST /control/v1/subscribe`.
/// The answer is a stream of [`Snapshot`]s, one JSON document a line; an empty
/// line is a heartbeat.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Name of the service.
    pub service: String,
    /// Name of the instance.
    pub instance: String,
    /// Whether the mesh file need not list this instance.
    #[serde(default)]
    pub guest: bool,
    /// Address of the inbound listener; an unspecified IP as for `metrics`.
    #[serde(default)]
    pub inbound: Option<SocketAddr>,
    /// Address of `/metrics`; an unspecified IP means the peer address of this connection.
    pub metrics: SocketAddr,
    /// Address of the admin API.
    pub admin: SocketAddr,
    /// Process id, for people.
    pub pid: u32,
    /// Version of mesh-proxy.
    pub version: String,
}

/// Answer of a sidecar to a [`Snapshot`]: body of `POST /control/v1/ack`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Name of the service.
    pub service: String,
    /// Name of the instance.
    pub instance: String,
    /// Revision this answers.
    pub revision: u64,
    /// Empty: applied. Otherwise refused, the old snapshot is still in force.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// What the rules in force met at one sidecar: body of `POST /control/v1/report`, sent
/// each second while something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the service.
    pub service: String,
    /// Name of the instance.
    pub instance: String,
    /// Revision in force.
    pub revision: u64,
    /// Whether chaos was halted at this sidecar alone, by its admin API or a signal:
    /// then it holds no rules until they change.
    pub halted: bool,
    /// Rules in force here that concern this sidecar.
    pub rules: Vec<RuleReport>,
}

/// What one rule met at one sidecar since it was put in force there as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleReport {
    /// Id of the rule.
    pub id: String,
    /// Its [`Rule::expires_at_ms`]: tells one time of being on from the next.
    pub expires_at_ms: Option<u64>,
    /// When this count began, milliseconds since the Unix epoch: tells it from one that
    /// began anew, because the sidecar was restarted or the rule put in force again.
    pub since_ms: u64,
    /// Requests (at position `attempt`: attempts) that came by its place.
    pub seen: u64,
    /// Those that met all its conditions.
    pub matched: u64,
    /// Those that at least one fault struck.
    pub struck: u64,
    /// Those that would have been struck, but for `max_affected` or `first_requests`.
    pub spared: u64,
    /// Those that it holds or whose body it works on now.
    pub held: u64,
    /// When it struck last, milliseconds since the Unix epoch.
    pub last_ms: Option<u64>,
    /// Of those that did not match, the one that came nearest.
    pub nearest: Option<NearMiss>,
}

/// A request that a rule did not match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearMiss {
    /// Method and path without the query, cut to 200 bytes.
    pub request: String,
    /// Key of the first condition that it did not meet, as `match.methods` or `arm`.
    pub key: String,
    /// How many conditions it met before that one.
    pub met: usize,
}
