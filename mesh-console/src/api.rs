//! What the console's JSON API says, and hears: the page, the command line and
//! scripts all use these types.

use mesh_proxy::config::{Problem, Rule};
use serde::{Deserialize, Serialize};

/// `GET /api/mesh/overview`, and event `overview` of `GET /api/mesh/events`, once a second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    /// Name of the mesh.
    pub mesh: String,
    /// Newest revision of the policy.
    pub revision: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Services, edges of the mesh first.
    pub services: Vec<ServiceState>,
    /// Calls between services that were seen or are allowed.
    pub edges: Vec<EdgeState>,
    /// Fill of the trace store.
    pub store: StoreState,
    /// Where callers outside reach the mesh, as `http://127.0.0.1:4080`; none where
    /// the console was not told.
    #[serde(default)]
    pub shop_url: Option<String>,
    /// Port that takes spans over gRPC.
    pub otlp_grpc: u16,
    /// Port that takes spans over HTTP.
    pub otlp_http: u16,
}

/// A service and its instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceState {
    /// Name.
    pub name: String,
    /// Is an edge of the mesh: callers outside reach it.
    pub exposed: bool,
    /// Instances with their sidecars.
    pub instances: Vec<InstanceState>,
    /// What arrives at the service's sidecars.
    pub inbound: Signals,
}

/// One instance, as its sidecar reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceState {
    /// Name, as `payments-2`.
    pub name: String,
    /// Its sidecar holds a control stream now.
    pub connected: bool,
    /// Revision its sidecar acknowledged last.
    pub revision: Option<u64>,
    /// Why its sidecar refused the newest revision.
    pub problems: Vec<Problem>,
    /// Requests a second at this instance's inbound sidecar.
    pub rps: f64,
}

/// Calls of one service to another, measured at the caller's sidecars.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EdgeState {
    /// The caller; `external` for what enters the mesh.
    pub source: String,
    /// The called.
    pub destination: String,
    /// What the caller saw, after retries.
    pub requests: Signals,
    /// Attempts a second at endpoints.
    pub attempts_per_second: f64,
    /// Share of attempts that succeeded, 0 to 1: success before retry. None without attempts.
    pub attempt_success: Option<f64>,
    /// Retries a second.
    pub retries_per_second: f64,
    /// Faults injected a second on this edge or at its destination.
    pub faults_per_second: f64,
}

/// `GET /api/mesh/edge?source=&destination=`: how an edge went lately.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EdgeHistory {
    /// The caller; `external` for what enters the mesh.
    pub source: String,
    /// The called.
    pub destination: String,
    /// One sample each five seconds of the last fifteen minutes, oldest first.
    pub samples: Vec<EdgeSample>,
}

/// Five seconds of an edge.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EdgeSample {
    /// Their end, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What the caller saw, after retries.
    pub requests: Signals,
    /// Share of attempts that succeeded, 0 to 1. None without attempts.
    pub attempt_success: Option<f64>,
    /// Retries a second.
    pub retries_per_second: f64,
    /// Faults injected a second.
    pub faults_per_second: f64,
}

/// Rate, errors, duration over the last ten seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Signals {
    /// Requests a second.
    pub rps: f64,
    /// Share of requests without a 5xx, 0 to 1; none without requests.
    pub success: Option<f64>,
    /// Median time to the last byte, milliseconds; none without requests.
    pub p50_ms: Option<f64>,
    /// 99th percentile, milliseconds.
    pub p99_ms: Option<f64>,
}

/// Fill of the trace store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StoreState {
    /// Traces held.
    pub traces: usize,
    /// Spans held.
    pub spans: usize,
    /// Bytes held.
    pub bytes: usize,
    /// Most bytes that are held.
    pub capacity_bytes: usize,
}

/// `GET /api/mesh/chaos`, and event `chaos`, at every change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChaosState {
    /// Newest revision.
    pub revision: u64,
    /// Sidecars that hold it, of those connected.
    pub acknowledged: usize,
    /// Sidecars connected.
    pub sidecars: usize,
    /// Sidecars at which chaos was halted by a signal or their admin API, by instance.
    #[serde(default)]
    pub halted: Vec<String>,
    /// Rules, in the order they were made. Those of a running mystery are not among
    /// them until it is revealed.
    pub rules: Vec<RuleState>,
}

/// A rule and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleState {
    /// The rule; `enabled` is whether it is in force.
    pub rule: Rule,
    /// Time until it turns itself off; none when off.
    pub expires_in_ms: Option<u64>,
    /// Faults it injected since the console started.
    pub injected: u64,
    /// What it met since it was turned on; all 0 while it is off.
    #[serde(default)]
    pub receipt: RuleReceipt,
    /// Share in force now, 0 to 100, by its schedule; 0 when off.
    #[serde(default)]
    pub percent_now: f64,
    /// Id of the scenario it was started by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
}

/// What a rule met since it was turned on, at all sidecars together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReceipt {
    /// Sidecars that hold the rule as it is now.
    pub sidecars: usize,
    /// Requests (at position `attempt`: attempts) that came by its place.
    pub seen: u64,
    /// Those that met all its conditions.
    pub matched: u64,
    /// Those that at least one of its faults struck.
    pub struck: u64,
    /// Those that would have been struck, but for `max_affected` or `first_requests`.
    pub spared: u64,
    /// Those that it holds now.
    pub held: u64,
    /// When it struck last, milliseconds since the Unix epoch.
    pub last_ms: Option<u64>,
    /// One sentence when requests came by and none matched, as `0 of 214 requests
    /// matched; nearest: GET /payments, which does not meet match.methods`.
    pub nothing: Option<String>,
}

/// An entry of `GET /api/mesh/scenarios`; `POST /api/mesh/scenarios/{id}` with a
/// [`ScenarioStart`] starts one, `DELETE` stops it, `POST …/{id}/reveal` shows what a
/// mystery did and stops it; each answers with the scenario as it is then. The whole
/// list is event `scenarios` of `GET /api/mesh/events`, at every change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioState {
    /// Id, as `flaky-payments`.
    pub id: String,
    /// One line.
    pub title: String,
    /// What happens, and why it is worth seeing.
    pub story: String,
    /// What to look for, one sentence each, in the order in which it shows.
    pub look_for: Vec<String>,
    /// What it does is not told until it is revealed.
    pub mystery: bool,
    /// How long it runs unless its start says otherwise, as `10m`.
    #[serde(rename = "for", with = "mesh_proxy::config::units::duration")]
    pub time: std::time::Duration,
    /// It runs now.
    pub running: bool,
    /// Time until it ends by itself, milliseconds; none when it does not run.
    pub left_ms: Option<u64>,
    /// Seed it was started with; none when it does not run.
    pub seed: Option<u64>,
    /// Ids of its rules; of a mystery none until it is revealed.
    pub rules: Vec<String>,
    /// Policies that it changes while it runs, as `orders -> payments`.
    pub changes: Vec<String>,
    /// What the last mystery was, in one sentence, once it is revealed.
    pub revealed: Option<String>,
}

/// Body of `POST /api/mesh/scenarios/{id}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScenarioStart {
    /// Seed of all its draws; none: one is chosen and shown.
    pub seed: Option<u64>,
    /// How long, as `5m`; none: what the scenario says.
    #[serde(
        rename = "for",
        with = "mesh_proxy::config::units::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub time: Option<std::time::Duration>,
}

/// `PATCH /api/mesh/chaos/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePatch {
    /// Turn the rule on (its time starts anew) or off.
    pub enabled: bool,
}

/// An entry of `GET /api/mesh/traces`, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceSummary {
    /// 32 hex digits.
    pub trace_id: String,
    /// Service of the root span (or of the earliest, while the root is missing).
    pub service: String,
    /// Name of that span, as `POST /orders`.
    pub name: String,
    /// Start, microseconds since the Unix epoch.
    pub start_us: u64,
    /// From the first start to the last end of the root's tree, microseconds.
    pub duration_us: u64,
    /// Spans so far.
    pub spans: usize,
    /// Services that took part.
    pub services: Vec<String>,
    /// HTTP status of the root.
    pub status_code: Option<u16>,
    /// The root failed.
    pub failed: bool,
    /// Attempts beyond the first, in the whole trace.
    pub retries: usize,
    /// Ids of the rules that hit the trace.
    pub faults: Vec<String>,
}

/// A line of `GET /api/mesh/tap?service=&direction=`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TapLine {
    /// A request that ended.
    Request(Box<Tapped>),
    /// The listener was too slow for so many.
    Lost {
        /// How many requests it did not get.
        lost: u64,
    },
}

/// On which side of a sidecar a request was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TapDirection {
    /// At the called service.
    Inbound,
    /// At the caller, with all its attempts.
    Outbound,
}

/// A request that passed a sidecar; those alone whose spans are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tapped {
    /// Its start, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Where it was seen.
    pub direction: TapDirection,
    /// The caller; `external` for what enters the mesh.
    pub source: String,
    /// The called.
    pub destination: String,
    /// Name of the route.
    pub route: String,
    /// Method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Status of the answer; none: there was none.
    pub status: Option<u16>,
    /// Status of gRPC, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<String>,
    /// Time to the last byte, milliseconds.
    pub duration_ms: f64,
    /// Tries at endpoints; outbound only.
    pub attempts: Option<u32>,
    /// Why the sidecar itself refused it or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Envoy's letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// Ids of the rules that struck it or one of its attempts here.
    pub faults: Vec<String>,
    /// 32 hex digits.
    pub trace_id: String,
}

/// `GET /api/mesh/activity`, newest first, and event `activity`; `POST` adds one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Milliseconds since the Unix epoch; set by the console.
    #[serde(default)]
    pub at_ms: u64,
    /// `chaos`, `process`, `sidecar` or `policy`.
    pub kind: String,
    /// One sentence, as `payments-2 was restarted (killed by signal 9)`.
    pub text: String,
}

/// Body of every answer from 400 up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiError {
    /// A code out of a fixed set, as `bad_rule`.
    pub code: String,
    /// What is wrong, what was expected, how to mend it.
    pub message: String,
    /// Every problem by key, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}
