//! Limits: what is over them is refused at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once; none: as `per_second`.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Who shares a bucket.
    #[serde(default)]
    pub per: RateLimitPer,
}

/// Who shares a token bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RateLimitPer {
    /// All requests of the route, or of the inbound side.
    #[default]
    Route,
    /// Each calling service has a bucket of its own; unknown callers share one.
    Caller,
}

/// A cap of requests in flight that finds its own size: it shrinks while requests take
/// longer than the shortest time seen, and grows while they do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveLimit {
    /// Never fewer than this.
    pub min: usize,
    /// Never more than this.
    pub max: usize,
    /// How much longer than the shortest time a request may take before the cap
    /// shrinks: 2 means twice as long.
    pub tolerance: f64,
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1000,
            tolerance: 2.0,
        }
    }
}
