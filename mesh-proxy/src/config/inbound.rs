//! What applies to requests for the application beside a sidecar.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdaptiveLimit, Protocol, RateLimit, units};

/// What applies to requests for the application beside this sidecar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InboundPolicy {
    /// What the application speaks.
    pub protocol: Protocol,
    /// Most requests in flight; none: no cap.
    pub max_in_flight: Option<usize>,
    /// Cap of requests in flight that finds its own size; none: no such cap.
    pub adaptive: Option<AdaptiveLimit>,
    /// Token bucket; none: no limit.
    pub rate_limit: Option<RateLimit>,
    /// Largest body of a request; none: any size.
    #[serde(with = "units::optional_size")]
    #[schemars(with = "Option<units::SizeText>")]
    pub max_body: Option<u64>,
    /// Time for a request whose caller gave none; none: no deadline.
    #[serde(with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub deadline: Option<Duration>,
    /// Longest pause between two pieces of a body, in either direction; none: any.
    #[serde(with = "units::optional_duration")]
    #[schemars(with = "Option<units::DurationText>")]
    pub idle_timeout: Option<Duration>,
    /// Requests that are refused with 403, by method and path.
    pub deny: Vec<Deny>,
    /// Services whose calls are told apart in metrics and traces; whoever else
    /// calls counts as `external`. The policy's clusters are known without this.
    pub callers: Vec<String>,
    /// Entry of the mesh: what callers outside claim about themselves
    /// (`x-mesh-*` headers, `mesh.*` baggage) is removed.
    pub edge: bool,
    /// Callers outside whose `mesh.*` baggage is kept all the same, so that they can
    /// arm chaos rules for their own requests.
    pub testers: Testers,
}

/// Callers outside who may arm chaos rules for their own requests. One condition is
/// enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Testers {
    /// Networks that they call from, as `127.0.0.0/8` or `::1/128`: the address of the
    /// connection counts, never a header.
    pub networks: Vec<String>,
    /// SPIFFE IDs or names that their certificate proves.
    pub identities: Vec<String>,
}

/// A refusal by method and path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deny {
    /// Methods; empty: all.
    pub methods: Vec<String>,
    /// Prefix of the path, by whole segments, in whichever way the application might
    /// read it: escapes, dots, parameters and case do not lead round a rule.
    pub path_prefix: Option<String>,
}
