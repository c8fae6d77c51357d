//! The mesh file: what a human writes. Services with their instances, the
//! policies between them, chaos rules, ports.
//!
//! A service says how many instances it has, and [`MeshFile::resolve`] gives
//! each its addresses; or it says where they are, as in containers, and nothing
//! is chosen. The console takes resolved files only.

mod check;
mod compile;
mod guests;
mod overlay;
mod part;
mod resolve;
mod rules;
mod scenario;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use mesh_proxy::config::{Budget, Cluster, Dns, InboundPolicy, RateLimit, Route, Rule};
use serde::{Deserialize, Serialize};

pub(crate) use check::bad_name;
pub use guests::Guest;
pub use part::{Part, Whole};
pub use resolve::Listener;
pub use scenario::{Cast, PercentRange, Scenario, Suspect, TimeRange};

/// A whole mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeshFile {
    /// Name of the mesh, for people.
    pub mesh: String,
    /// Where the console and the first of everything listens.
    #[serde(default)]
    pub ports: Ports,
    /// Spans: how many are kept.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Traffic that `glassmesh up` starts with.
    #[serde(default)]
    pub load: Load,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Policy of every route that `routes` does not name.
    #[serde(default)]
    pub defaults: RoutePolicy,
    /// Policy of single edges or of all edges to a service.
    #[serde(default)]
    pub routes: Vec<EdgePolicy>,
    /// Chaos rules; those with `enabled: false` wait for their toggle.
    #[serde(default)]
    pub chaos: Vec<Rule>,
    /// Experiments that are ready to be started: rules and changed policies together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<Scenario>,
}

/// Ports of the native run. All on loopback.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// Address all listeners bind.
    pub host: IpAddr,
    /// Page and API of the console.
    pub console: u16,
    /// OTLP over gRPC.
    pub otlp_grpc: u16,
    /// OTLP over HTTP.
    pub otlp_http: u16,
    /// First of the ports of instances: each takes a block of ten. 0: any free ports
    /// (`glassmesh up` then picks for `console`, `otlp_*` and `expose` set to 0, too).
    pub internal: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            console: 4090,
            otlp_grpc: 4317,
            otlp_http: 4318,
            internal: 14100,
        }
    }
}

/// Export of spans.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Share of new traces that are kept, 0 to 1.
    pub sample_ratio: f64,
}

impl Default for Telemetry {
    /// Everything: a demo wants to be seen.
    fn default() -> Self {
        Self { sample_ratio: 1.0 }
    }
}

/// Traffic that `glassmesh up` starts with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// Requests a second; 0: none.
    pub rps: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self { rps: 20.0 }
    }
}

/// A service of the mesh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// How many instances, or where they are.
    pub instances: Instances,
    /// Port at which callers outside reach the service: the inbound listener of
    /// its (one) instance. Such a service is an edge of the mesh.
    pub expose: Option<u16>,
    /// Services it calls; its sidecars get routes to these alone.
    pub calls: Vec<String>,
    /// Most requests in flight at each instance's sidecar.
    pub max_in_flight: Option<usize>,
    /// Token bucket at each instance's sidecar.
    pub rate_limit: Option<RateLimit>,
    /// Everything else that applies at each instance's sidecar.
    pub inbound: InboundPolicy,
    /// Endpoints that its callers find by name, beside the instances.
    pub dns: Option<Dns>,
}

/// Instances of a service: a number in a file of a native run, addresses after
/// [`MeshFile::resolve`] and in files for containers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Instances {
    /// So many; addresses are chosen.
    Count(u16),
    /// These.
    Listed(Vec<Instance>),
}

impl Default for Instances {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// One instance of a service and the sidecar beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Unique name, as `payments-2`.
    pub name: String,
    /// `host:port` at which other sidecars reach this one.
    pub inbound: String,
    /// Addresses of the native run; absent where something else starts the processes.
    #[serde(default)]
    pub local: Option<LocalAddresses>,
}

/// Where an instance of a native run listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalAddresses {
    /// The application.
    pub application: SocketAddr,
    /// The application's `/metrics` and `/health/*`.
    pub application_metrics: SocketAddr,
    /// The sidecar's listener for what comes from the mesh.
    pub inbound: SocketAddr,
    /// The sidecar's listener for what the application sends.
    pub outbound: SocketAddr,
    /// The sidecar's admin API.
    pub admin: SocketAddr,
    /// The sidecar's `/metrics` and `/health/*`.
    pub metrics: SocketAddr,
}

/// Policy of the calls to a service; what is absent is taken from the level above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoutePolicy {
    /// Retry budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The called: how an endpoint is chosen, when one is left out, how it is spoken to.
    pub cluster: Part<Cluster>,
    /// The call: times, retries, limits, and all else that a route of mesh-proxy has.
    #[serde(flatten)]
    pub route: Part<Route>,
}

/// Policy of the calls of one service (or, without `from`, of all) to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgePolicy {
    /// The caller; none: every caller.
    #[serde(default)]
    pub from: Option<String>,
    /// The called.
    pub to: String,
    /// What differs from the defaults.
    #[serde(default)]
    pub policy: RoutePolicy,
    /// Routes of some of the calls, tried before the one of all others: with a `match`,
    /// to another service, split, redirected, answered. They begin with the policy of
    /// this edge, and change what they say.
    #[serde(default)]
    pub routes: Vec<Part<Route>>,
}

impl MeshFile {
    /// Reads YAML; the error shows the line and what was expected there.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Words of YAML 1.1 such as `on` are words here: it is a key of `retry`.
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// Names of all services, for messages that say what there is.
    #[must_use]
    pub fn known_services(&self) -> String {
        let names: Vec<&str> = self.services.keys().map(String::as_str).collect();
        names.join(", ")
    }

    /// Whether the file lets `source` call `destination`.
    #[must_use]
    pub fn may_call(&self, source: &str, destination: &str) -> bool {
        self.services
            .get(source)
            .is_some_and(|service| service.calls.iter().any(|name| name == destination))
    }
}
