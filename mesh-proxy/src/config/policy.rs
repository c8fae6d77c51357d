//! Clusters, routes and limits: the words follow the field (listener, route,
//! cluster, endpoint), so that a bridge to xDS stays possible.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{chaos::Rule, units};

/// Everything a sidecar does with requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Upstream services by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Outbound routes; the first match wins.
    pub routes: Vec<Route>,
    /// What applies to requests for the application beside this sidecar.
    pub inbound: InboundPolicy,
    /// Chaos rules of the whole mesh; a sidecar picks those that concern it.
    pub chaos: Vec<Rule>,
}

/// A service that can be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `host:port` of each instance's inbound listener.
    pub endpoints: Vec<String>,
    /// Share of requests that may be retries, for the whole cluster.
    #[serde(default)]
    pub budget: Budget,
    /// Consecutive failures after which an endpoint is ejected; 0 turns the breaker off.
    #[serde(default = "Cluster::default_consecutive_failures")]
    pub consecutive_failures: u32,
    /// First ejection; it grows with every further one (times 1, 2, 3, …).
    #[serde(default = "Cluster::default_ejection", with = "units::duration")]
    pub ejection: Duration,
    /// Largest share of the endpoints, 0 to 1, that may be ejected at once.
    #[serde(default = "Cluster::default_max_ejected")]
    pub max_ejected: f64,
    /// Time to establish a connection.
    #[serde(default = "Cluster::default_connect_timeout", with = "units::duration")]
    pub connect_timeout: Duration,
}

impl Cluster {
    /// A cluster of these endpoints (`host:port`), everything else by default.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            budget: Budget::default(),
            consecutive_failures: Self::default_consecutive_failures(),
            ejection: Self::default_ejection(),
            max_ejected: Self::default_max_ejected(),
            connect_timeout: Self::default_connect_timeout(),
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
}

/// Retry budget: retries in the window may be at most `share` of the requests
/// plus `floor` a second. Defaults of Linkerd and Finagle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Which requests go to which cluster, and under which policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name in metrics, spans and messages; unique in the policy.
    pub name: String,
    /// All conditions must hold.
    #[serde(rename = "match")]
    pub matches: RouteMatch,
    /// Cluster the requests go to.
    pub cluster: String,
    /// Time for the whole request with all attempts and pauses.
    #[serde(default = "Route::default_deadline", with = "units::duration")]
    pub deadline: Duration,
    /// Time for one attempt; none: the deadline alone.
    #[serde(default, with = "units::optional_duration")]
    pub attempt_timeout: Option<Duration>,
    /// No attempt starts with less than this left until the deadline.
    #[serde(default = "Route::default_attempt_min", with = "units::duration")]
    pub attempt_min: Duration,
    /// Retries; none: one attempt.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// Most requests in flight; none: no cap.
    #[serde(default)]
    pub max_in_flight: Option<usize>,
    /// Token bucket; none: no limit.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Cluster that receives a copy of a share of the requests; its answers are dropped.
    #[serde(default)]
    pub mirror: Option<Mirror>,
}

impl Route {
    /// A route of this name for every request, to the cluster, everything else by default.
    #[must_use]
    pub fn new(name: &str, cluster: &str) -> Self {
        Self {
            name: name.to_owned(),
            matches: RouteMatch::default(),
            cluster: cluster.to_owned(),
            deadline: Self::default_deadline(),
            attempt_timeout: None,
            attempt_min: Self::default_attempt_min(),
            retry: None,
            max_in_flight: None,
            rate_limit: None,
            mirror: None,
        }
    }

    fn default_deadline() -> Duration {
        Duration::from_secs(15) // Envoy's route timeout
    }
    fn default_attempt_min() -> Duration {
        Duration::from_millis(10)
    }
}

/// Conditions of a route; an absent one holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    /// Host without port, as `payments`.
    pub authority: Option<String>,
    /// Prefix of the path, as `/payments`; matches whole segments.
    pub path_prefix: Option<String>,
    /// Methods; empty: all.
    pub methods: Vec<String>,
}

/// When and how often to try again. Idempotent methods, and requests that
/// carry an `Idempotency-Key`, only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Conditions under which a try may be repeated.
    pub on: Vec<RetryOn>,
    /// Upper bound of the first pause; the pause is uniform between zero and the
    /// bound ("full jitter"), and the bound doubles each time.
    #[serde(with = "units::duration")]
    pub backoff_base: Duration,
    /// Upper bound of every pause.
    #[serde(with = "units::duration")]
    pub backoff_cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: vec![
                RetryOn::FiveXx,
                RetryOn::ConnectFailure,
                RetryOn::Reset,
                RetryOn::AttemptTimeout,
            ],
            backoff_base: Duration::from_millis(25), // Envoy's base interval
            backoff_cap: Duration::from_millis(250), // Envoy's: ten times the base
        }
    }
}

/// A condition for a retry, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// Any answer from 500 to 599.
    #[serde(rename = "5xx")]
    FiveXx,
    /// 502, 503 or 504.
    GatewayError,
    /// No connection could be made.
    ConnectFailure,
    /// The connection broke before the response head.
    Reset,
    /// The attempt timeout passed.
    AttemptTimeout,
}

/// Token bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once; none: as `per_second`.
    #[serde(default)]
    pub burst: Option<u32>,
}

/// Copy of a share of the requests to another cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Cluster of the copies.
    pub cluster: String,
    /// Share of requests, 0 to 100.
    pub percent: f64,
}

/// What applies to requests for the application beside this sidecar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InboundPolicy {
    /// Most requests in flight; none: no cap.
    pub max_in_flight: Option<usize>,
    /// Token bucket; none: no limit.
    pub rate_limit: Option<RateLimit>,
    /// Time for a request whose caller gave none; none: no deadline.
    #[serde(with = "units::optional_duration")]
    pub deadline: Option<Duration>,
    /// Requests that are refused with 403, by method and path.
    pub deny: Vec<Deny>,
    /// Services whose calls are told apart in metrics and traces; whoever else
    /// calls counts as `external`. The policy's clusters are known without this.
    pub callers: Vec<String>,
    /// Entry of the mesh: what callers outside claim about themselves
    /// (`x-mesh-*` headers, `mesh.*` baggage) is removed.
    pub edge: bool,
}

/// A refusal by method and path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deny {
    /// Methods; empty: all.
    pub methods: Vec<String>,
    /// Prefix of the normalised path; matches whole segments.
    pub path_prefix: Option<String>,
}
