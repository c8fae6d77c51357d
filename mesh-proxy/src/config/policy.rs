//! Everything a sidecar does with requests. The words follow the field (listener,
//! route, cluster, endpoint), so that a bridge to xDS stays possible.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cluster, InboundPolicy, Route, Rule};

/// Everything a sidecar does with requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
