//! Outbound routes: which requests go where, changed how, and under which policy.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdaptiveLimit, Hedge, RateLimit, RetryPolicy, units};

/// Which requests go where, and under which policy. Exactly one of `cluster`,
/// `split`, `redirect` and `respond` says where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name in metrics, spans and messages; unique in the policy.
    pub name: String,
    /// All conditions must hold.
    #[serde(rename = "match", default)]
    pub matches: RouteMatch,
    /// Cluster the requests go to.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Clusters that share the requests by weight.
    #[serde(default)]
    pub split: Option<Split>,
    /// Answer that sends the caller elsewhere.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// Answer that is given here.
    #[serde(default)]
    pub respond: Option<Respond>,
    /// Changes to authority and path on the way out.
    #[serde(default)]
    pub rewrite: Option<Rewrite>,
    /// Changes to the headers of requests.
    #[serde(default)]
    pub request_headers: HeaderChanges,
    /// Changes to the headers of answers.
    #[serde(default)]
    pub response_headers: HeaderChanges,
    /// Time for the whole request with all attempts and pauses.
    #[serde(default = "Route::default_deadline", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub deadline: Duration,
    /// Time for one attempt; none: the deadline alone.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub attempt_timeout: Option<Duration>,
    /// No attempt starts with less than this left until the deadline.
    #[serde(default = "Route::default_attempt_min", with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub attempt_min: Duration,
    /// Longest pause between two pieces of a body, in either direction; ends streams
    /// that have gone silent. None: the deadline alone.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub idle_timeout: Option<Duration>,
    /// `false`: the deadline ends with the head of the answer, for streams that go on
    /// for hours. Attempts are bounded all the same.
    #[serde(default = "Route::yes")]
    pub deadline_covers_body: bool,
    /// Retries; none: one attempt.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// A second attempt beside a slow first one; none: attempts follow one another.
    #[serde(default)]
    pub hedge: Option<Hedge>,
    /// Most requests in flight; none: no cap.
    #[serde(default)]
    pub max_in_flight: Option<usize>,
    /// Cap of requests in flight that finds its own size; none: no such cap.
    #[serde(default)]
    pub adaptive: Option<AdaptiveLimit>,
    /// Token bucket; none: no limit.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Largest body of a request; none: any size.
    #[serde(default, with = "units::optional_size")]
    #[schemars(with = "Option<units::SizeText>")]
    pub max_body: Option<u64>,
    /// Whether `Upgrade` (as for WebSocket) goes on to the upstream.
    #[serde(default = "Route::yes")]
    pub upgrades: bool,
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
            cluster: Some(cluster.to_owned()),
            split: None,
            redirect: None,
            respond: None,
            rewrite: None,
            request_headers: HeaderChanges::default(),
            response_headers: HeaderChanges::default(),
            deadline: Self::default_deadline(),
            attempt_timeout: None,
            attempt_min: Self::default_attempt_min(),
            idle_timeout: None,
            deadline_covers_body: true,
            retry: None,
            hedge: None,
            max_in_flight: None,
            adaptive: None,
            rate_limit: None,
            max_body: None,
            upgrades: true,
            mirror: None,
        }
    }

    fn default_deadline() -> Duration {
        Duration::from_secs(15) // Envoy's route timeout
    }
    fn default_attempt_min() -> Duration {
        Duration::from_millis(10)
    }
    fn yes() -> bool {
        true
    }
}

/// Conditions of a route; an absent one holds for every request. At most one of the
/// four kinds of path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    /// Host without port, as `payments`; `*.example.org` for all names below one.
    pub authority: Option<String>,
    /// The whole path, as `/payments`.
    pub path: Option<String>,
    /// Prefix of the path, as `/payments`; matches whole segments.
    pub path_prefix: Option<String>,
    /// Path with named segments, as `/orders/{id}` or `/files/{*rest}`; it becomes
    /// `http.route` of the spans.
    pub path_template: Option<String>,
    /// Regular expression for the whole path.
    pub path_regex: Option<String>,
    /// Methods; empty: all.
    pub methods: Vec<String>,
    /// Headers; all must match.
    pub headers: Vec<FieldMatch>,
    /// Parameters of the query; all must match.
    pub query: Vec<FieldMatch>,
}

/// Condition for a header or a query parameter. Without `exact`, `prefix` and `regex`
/// it must be there, with any value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldMatch {
    /// Name; of a header in any case.
    pub name: String,
    /// The whole value.
    #[serde(default)]
    pub exact: Option<String>,
    /// Beginning of the value.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Regular expression for the whole value.
    #[serde(default)]
    pub regex: Option<String>,
    /// Turns the condition round.
    #[serde(default)]
    pub invert: bool,
}

/// Clusters that share a route's requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Cluster → weight; each gets its weight's share of the sum.
    pub clusters: BTreeMap<String, u32>,
    /// Header whose value decides, so that one user stays with one version; requests
    /// without it draw by chance.
    #[serde(default)]
    pub pin: Option<String>,
}

/// An answer that sends the caller elsewhere; what is absent stays as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `http` or `https`.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Host, with or without port.
    #[serde(default)]
    pub authority: Option<String>,
    /// Whole path; the query stays.
    #[serde(default)]
    pub path: Option<String>,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "Redirect::default_status")]
    pub status: u16,
}

impl Redirect {
    fn default_status() -> u16 {
        307
    }
}

/// An answer that is given here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub body: String,
    /// `Content-Type` of the body.
    #[serde(default = "Respond::default_content_type")]
    pub content_type: String,
}

impl Respond {
    fn default_content_type() -> String {
        "text/plain; charset=utf-8".to_owned()
    }
}

/// Changes to where a request says that it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// New authority.
    pub authority: Option<String>,
    /// What stands for the `path_prefix` of the match.
    pub path_prefix: Option<String>,
    /// Whole new path; may use the segments that `path_template` names, as
    /// `/v2/orders/{id}`, and groups of `path_regex`, as `/v2/$1`.
    pub path: Option<String>,
}

/// Changes to headers: first `remove`, then `set` and `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderChanges {
    /// Replaces all values.
    pub set: BTreeMap<String, String>,
    /// Adds a value.
    pub add: BTreeMap<String, String>,
    /// Takes all values away.
    pub remove: Vec<String>,
}

impl HeaderChanges {
    /// Whether they leave everything as it is.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// Copy of a share of the requests to another cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Cluster of the copies.
    pub cluster: String,
    /// Share of requests, 0 to 100.
    pub percent: f64,
}
