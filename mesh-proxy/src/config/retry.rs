//! Retries and hedges.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units;

/// When and how often to try again. Idempotent methods, and requests that
/// carry an `Idempotency-Key`, unless `any_method` says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Conditions under which a try may be repeated.
    pub on: Vec<RetryOn>,
    /// Further statuses under which a try may be repeated, as 409.
    pub statuses: Vec<u16>,
    /// Repeats every method: for services whose `POST` can be repeated safely.
    pub any_method: bool,
    /// Upper bound of the first pause; the pause is uniform between zero and the
    /// bound ("full jitter"), and the bound doubles each time.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub backoff_base: Duration,
    /// Upper bound of every pause.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub backoff_cap: Duration,
    /// Largest body of a request that is kept for another try; a longer one is sent once.
    #[serde(with = "units::size")]
    #[schemars(with = "units::SizeText")]
    pub replay: u64,
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
            statuses: Vec::new(),
            any_method: false,
            backoff_base: Duration::from_millis(25), // Envoy's base interval
            backoff_cap: Duration::from_millis(250), // Envoy's: ten times the base
            replay: 64 * 1024,                       // Linkerd's
        }
    }
}

/// A condition for a retry, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The HTTP/2 peer says that it has not begun with the request.
    RefusedStream,
    /// The attempt timeout passed.
    AttemptTimeout,
    /// 409, as Envoy has it.
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    /// gRPC status 1.
    GrpcCancelled,
    /// gRPC status 4.
    GrpcDeadlineExceeded,
    /// gRPC status 8.
    GrpcResourceExhausted,
    /// gRPC status 13.
    GrpcInternal,
    /// gRPC status 14.
    GrpcUnavailable,
}

/// A further attempt while the first is still waited for; whichever answers first is
/// taken and the other is cancelled. Counts against the cluster's retry budget, and is
/// made under the same conditions as a retry: idempotent, body kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// Pause after which the next attempt starts; about the 95th percentile of latency.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub after: Duration,
    /// Most attempts at once, the first included.
    #[serde(default = "Hedge::two")]
    pub attempts: u32,
}

impl Hedge {
    fn two() -> u32 {
        2
    }
}
