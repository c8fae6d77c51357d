//! What would become of a request: the same decisions that the stack makes, told
//! instead of made.

mod decide;
#[cfg(test)]
mod tests;
mod text;
mod why;
mod worst;

use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use serde::Serialize;

use crate::config::{AdaptiveLimit, Hedge, Mirror, Policy, RateLimit, Rule, units};

pub(crate) use worst::{most_attempts, pauses};

/// What a policy would do with a request. `Display` tells it to people.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// Name of the route that takes the request; none: it is refused with `no_route`.
    pub route: Option<String>,
    /// Template of its path, which is `http.route` of the spans.
    pub template: Option<String>,
    /// Routes above it, and why each does not take the request.
    pub passed_over: Vec<PassedOver>,
    /// Clusters that it may go to; empty: the sidecar answers itself.
    pub targets: Vec<Target>,
    /// The answer, where the sidecar gives it itself.
    pub answer: Option<DirectAnswer>,
    /// Authority and path that the upstream sees; none: as they came.
    pub rewritten: Option<Rewritten>,
    /// How long it may take.
    pub times: Option<Times>,
    /// Further attempts; none: the route makes one.
    pub retries: Option<Retries>,
    /// A second attempt beside a slow first one.
    pub hedge: Option<Hedge>,
    /// What may shed it.
    pub limits: Limits,
    /// Where a copy may go.
    pub mirror: Option<Mirror>,
    /// Chaos rules that can strike it: those of its edges, and those of the services
    /// that it goes to (and of their instances, where they are called as the console
    /// calls them, `payments-2`), which strike at their sidecars.
    pub faults: Vec<Rule>,
    /// Chaos rules of the same places whose conditions it does not meet.
    pub spared_by: Vec<SparedBy>,
    /// The most that it can cost.
    pub worst_case: WorstCase,
}

/// A route that does not take the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Name of the route.
    pub route: String,
    /// The first of its conditions that does not hold.
    pub because: String,
}

/// A chaos rule that is on where the request goes, and is not for this request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SparedBy {
    /// Id of the rule.
    pub rule: String,
    /// Key of the first of its conditions that does not hold, as `match.methods` or `arm`.
    pub key: &'static str,
}

/// A cluster that a request may go to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// Name of the cluster.
    pub cluster: String,
    /// Probability, 0 to 1; with a pinned value there is one target of 1.
    pub share: f64,
    /// Endpoints of the policy; those that DNS finds are not among them.
    pub endpoints: Vec<String>,
}

/// An answer that the sidecar gives itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectAnswer {
    /// `redirect` or `direct_response`.
    pub reason: &'static str,
    /// Status.
    pub status: u16,
    /// Where a redirect points to.
    pub location: Option<String>,
}

/// What the upstream sees of a rewritten request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// Authority; none: as it came.
    pub authority: Option<String>,
    /// Path with query.
    pub path: String,
}

/// How long a request may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// For the request: the route's time, or what the caller has left.
    #[serde(with = "units::duration")]
    pub deadline: Duration,
    /// Whether the body of the answer must have ended by then, too.
    pub deadline_covers_body: bool,
    /// For one attempt.
    #[serde(with = "units::optional_duration")]
    pub attempt_timeout: Option<Duration>,
    /// No attempt starts with less than this left.
    #[serde(with = "units::duration")]
    pub attempt_min: Duration,
    /// Longest pause in a body.
    #[serde(with = "units::optional_duration")]
    pub idle_timeout: Option<Duration>,
}

/// Whether and when a request would be tried again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retries {
    /// Tries in all that the route allows.
    pub attempts: u32,
    /// Conditions, as the configuration writes them.
    pub on: Vec<String>,
    /// Further statuses.
    pub statuses: Vec<u16>,
    /// Whether this very request may be repeated, as far as its head tells.
    pub allowed: bool,
    /// Why, or why not.
    pub because: String,
    /// Upper bound of the first pause.
    #[serde(with = "units::duration")]
    pub backoff_base: Duration,
    /// Upper bound of every pause.
    #[serde(with = "units::duration")]
    pub backoff_cap: Duration,
}

/// What may shed a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Most requests in flight.
    pub max_in_flight: Option<usize>,
    /// Cap of requests in flight that finds its own size.
    pub adaptive: Option<AdaptiveLimit>,
    /// Token bucket.
    pub rate_limit: Option<RateLimit>,
    /// Largest body, in bytes.
    pub max_body: Option<u64>,
}

/// The most that a request can cost.
///
/// Attempts: one where a repetition is not allowed, else the greater of the attempts of
/// `retry` and `hedge`: hedges count as attempts.
///
/// Latency: `min(deadline, attempts × attempt_timeout + pauses + delays)`. The pauses
/// are the bounds of the backoff, `min(backoff_cap, backoff_base × 2^(n-1))` after the
/// n-th attempt; the delays those of chaos rules of position `request`, at their longest:
/// where that has no end, as that of a normal distribution, or a rule hangs, it is the
/// deadline. Faults of attempts end with these. Without an
/// attempt timeout one attempt may take all the time. What an upstream asks for with
/// `Retry-After` is not counted: it can stretch the pauses up to the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorstCase {
    /// Attempts that can reach endpoints, hedges included; the copy of a mirror is not.
    pub attempts: u32,
    /// Time until the caller has the head of an answer.
    #[serde(with = "units::duration")]
    pub latency: Duration,
}

/// Explains what the outbound side of `service` would do with a request. `url` is in
/// absolute form, or in origin form with a `Host` among the headers. The policy has
/// to be one that [`check`](crate::config::check) finds no problems in; a route with
/// problems takes nothing.
#[must_use]
pub fn explain(
    policy: &Policy,
    service: &str,
    method: &Method,
    url: &Uri,
    headers: &HeaderMap,
) -> Explanation {
    decide::explain(policy, service, method, url, headers)
}
