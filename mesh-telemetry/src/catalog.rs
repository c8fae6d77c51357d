//! Every metric, in one flat table: what is not here does not exist.
//!
//! The table is the only place with metric names and labels; handles are made
//! from its entries (see `register`), so that a label cannot be forgotten or
//! misspelt. `docs/telemetry.md` is [`markdown`] of it, and a test keeps that true.

mod labels;
mod markdown;

pub use labels::{LABELS, Label};
pub use markdown::markdown;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

impl Kind {
    /// As it stands on Prometheus's `# TYPE` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name as Prometheus reads it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Base unit, as `seconds`; for plain numbers what is counted, as `requests`.
    pub unit: &'static str,
    /// Labels, all of them always present, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    /// Upper bounds of a histogram's buckets, without `+Inf`; else empty.
    pub buckets: &'static [f64],
}

/// Durations of whole requests in the semantic conventions for HTTP, seconds.
const HTTP_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The same for databases, seconds.
const DB_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Requests and attempts at a sidecar, seconds: finer below 5 ms than the HTTP
/// buckets, because a hop inside one machine takes less.
const MESH_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];
/// What the sidecar itself costs, seconds: from 25 µs to a stalled process.
const OVERHEAD_SECONDS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1,
];
/// Delays that people ask for, seconds.
const DELAY_SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Declares the entries, and [`METRICS`] with all of them in the order written.
macro_rules! table {
    ($($id:ident = $kind:ident $name:literal [$($label:ident),*] $unit:literal $($buckets:ident)? : $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$(stringify!($label)),*],
                help: $help,
                buckets: table!(@ $($buckets)?),
            };
        )*
        /// Every metric, in the order of the documentation.
        pub static METRICS: &[Metric] = &[$($id),*];
    };
    (@) => { &[] };
    (@ $buckets:ident) => { $buckets };
}

table! {
    REQUESTS = Counter "mesh_requests_total" [direction, source, destination, route, method, response_code, grpc_status, response_flags, tls] "requests":
        "Requests as the caller saw them.";
    REQUEST_DURATION = Histogram "mesh_request_duration_seconds" [direction, source, destination, route, response_class] "seconds" MESH_SECONDS:
        "Time from a request's head to the last byte of its answer.";
    ATTEMPTS = Counter "mesh_attempts_total" [source, destination, response_code, grpc_status, response_flags] "attempts":
        "Tries at endpoints, counted at the caller's sidecar; divided by requests: amplification.";
    ATTEMPT_DURATION = Histogram "mesh_attempt_duration_seconds" [source, destination, response_class] "seconds" MESH_SECONDS:
        "Time of one try at an endpoint.";
    RETRIES = Counter "mesh_retries_total" [source, destination, condition] "retries":
        "Attempts beyond the first.";
    RETRY_SUCCESS = Counter "mesh_retry_success_total" [source, destination, condition] "requests":
        "Requests that a retry saved, by the condition of the last retry.";
    RETRY_REFUSED = Counter "mesh_retry_refused_total" [source, destination, reason] "requests":
        "Retries that a policy would have allowed, but that were not made.";
    RETRY_BUDGET = Gauge "mesh_retry_budget_remaining_ratio" [source, destination] "ratio":
        "Share of the retry budget that is left.";
    HEDGES = Counter "mesh_hedges_total" [source, destination, result] "hedges":
        "Attempts beside a slow one, by what became of them.";
    IN_FLIGHT = Gauge "mesh_requests_in_flight" [direction, destination] "requests":
        "Requests that are under way.";
    CONCURRENCY_LIMIT = Gauge "mesh_concurrency_limit" [direction, destination, route] "requests":
        "Requests that an adaptive limit allows in flight.";
    SHED = Counter "mesh_requests_shed_total" [direction, destination, reason] "requests":
        "Requests that a limit refused.";
    ENDPOINTS = Gauge "mesh_endpoints" [destination, state] "endpoints":
        "Endpoints that the balancer knows, by state.";
    EJECTIONS = Counter "mesh_endpoint_ejections_total" [destination, reason] "ejections":
        "Endpoints that the breaker took out.";
    BREAKER_STATE = Gauge "mesh_breaker_state" [destination, endpoint] "state":
        "Breaker of an endpoint: 0 closed, 1 half-open, 2 open.";
    HEALTH_CHECKS = Counter "mesh_health_checks_total" [destination, result] "probes":
        "Health checks of endpoints, by how they ended.";
    DNS_LOOKUPS = Counter "mesh_dns_lookups_total" [destination, result] "lookups":
        "Lookups of a cluster's endpoints; one that fails or is empty leaves the last good answer in force.";
    FAULTS = Counter "mesh_faults_injected_total" [rule, fault, source, destination] "faults":
        "Faults injected, by chaos rule and kind.";
    FAULT_ACTIVE = Gauge "mesh_fault_active" [rule] "requests":
        "Requests that a fault holds, or whose answers it works on, now.";
    FAULT_DELAY = Histogram "mesh_fault_delay_seconds" [rule] "seconds" DELAY_SECONDS:
        "Delay that a fault really added to one request.";
    CHAOS_RULE_ACTIVE = Gauge "mesh_chaos_rule_active" [rule, place, scenario] "rules":
        "1 while a chaos rule is in force, at the console; no series otherwise.";
    CHAOS_RULE_SHARE = Gauge "mesh_chaos_rule_share_ratio" [rule] "ratio":
        "Share that a rule in force has now, by its schedule, at the console.";
    CHAOS_RULE_DELAY = Gauge "mesh_chaos_rule_delay_seconds" [rule] "seconds":
        "Mean delay that a rule in force asks for, at the console.";
    UPSTREAM_CONNECTIONS = Gauge "mesh_upstream_connections" [destination] "connections":
        "Open connections to endpoints, idle ones included.";
    UPSTREAM_CONNECTS = Counter "mesh_upstream_connects_total" [destination, result] "connections":
        "Connections tried.";
    DOWNSTREAM_CONNECTIONS = Gauge "mesh_downstream_connections" [listener] "connections":
        "Open connections of callers, idle ones included.";
    DOWNSTREAM_CLOSED = Counter "mesh_downstream_connections_closed_total" [listener, reason] "connections":
        "Connections of callers that ended, by why.";
    MALFORMED = Counter "mesh_requests_malformed_total" [listener, reason] "requests":
        "Requests that are not well-formed: answered by the listener, and seen by no rule, no application and no other metric.";
    TUNNELS = Gauge "mesh_tunnels" [destination] "tunnels":
        "Open tunnels (CONNECT, WebSocket and other upgrades).";
    TUNNEL_BYTES = Counter "mesh_tunnel_bytes_total" [destination, flow] "bytes":
        "Bytes through tunnels.";
    TLS_HANDSHAKES = Counter "mesh_tls_handshakes_total" [direction, result] "handshakes":
        "TLS handshakes, by how they ended.";
    CERTIFICATE_EXPIRY = Gauge "mesh_certificate_expiry_timestamp_seconds" [direction] "seconds":
        "When the certificate that is shown ends, Unix time; of several the first end; NaN without one.";
    AUTHORIZATION_DENIED = Counter "mesh_authorization_denied_total" [source, destination] "requests":
        "Requests that the access policy refused.";
    CONFIG_REVISION = Gauge "mesh_config_revision" [] "revision":
        "Revision of the policy in force; 0 for the one from the file.";
    CONFIG_REJECTED = Counter "mesh_config_rejected_total" [] "revisions":
        "Revisions and configuration files that were refused while the old one stayed in force.";
    CONFIG_RELOADED = Gauge "mesh_config_last_reload_successful" [] "boolean":
        "1 if the newest revision or configuration file is in force, 0 if it was refused.";
    CONFIG_RELOAD_TIME = Gauge "mesh_config_last_reload_success_timestamp_seconds" [] "seconds":
        "When a revision or a configuration file was last put in force, Unix time.";
    CONTROL_CONNECTED = Gauge "mesh_control_connected" [] "connections":
        "1 while the stream to the console is open, else 0.";
    PROXY_OVERHEAD = Histogram "mesh_proxy_overhead_seconds" [direction] "seconds" OVERHEAD_SECONDS:
        "What the sidecar itself cost: request minus attempts, retry pauses and injected delays.";
    ACCESS_LOG_LINES = Counter "mesh_access_log_lines_total" [result] "lines":
        "Lines of the access log that were written, or dropped because its disk was slow or full.";
    SPANS = Counter "mesh_telemetry_spans_total" [result] "spans":
        "Spans that were exported, dropped because the queue was full, or lost because the collector failed.";
    BUILD_INFO = Gauge "mesh_build_info" [version, component] "info":
        "Always 1; the labels say what runs.";
    HTTP_SERVER_DURATION = Histogram "http_server_request_duration_seconds" [http_request_method, http_route, http_response_status_code, error_type] "seconds" HTTP_SECONDS:
        "Time from a request's head to the last byte of the answer, at the service.";
    HTTP_CLIENT_DURATION = Histogram "http_client_request_duration_seconds" [http_request_method, server_address, http_response_status_code, error_type] "seconds" HTTP_SECONDS:
        "Time of a service's call to a peer, to the head of the answer.";
    DB_DURATION = Histogram "db_client_operation_duration_seconds" [db_system_name, db_operation_name, db_collection_name, error_type] "seconds" DB_SECONDS:
        "Time of a database operation.";
    SHOP_ORDERS = Counter "shop_orders_total" [status] "orders":
        "Orders, by how they ended.";
    SHOP_PAYMENTS = Counter "shop_payments_total" [result] "payments":
        "Payments, by how they were decided.";
    SHOP_OUTBOX = Gauge "shop_outbox_pending" [] "messages":
        "Messages in the outbox that are not delivered yet.";
    SHOP_STOCK = Gauge "shop_stock_units" [product] "units":
        "Units of a product that can be reserved.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "seconds":
        "Processor time of the process, whole seconds.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" [] "files":
        "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "files":
        "Most file descriptors that may be open.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "bytes":
        "Virtual memory.";
    PROCESS_VIRTUAL_MAX = Gauge "process_virtual_memory_max_bytes" [] "bytes":
        "Most virtual memory that may be used.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "bytes":
        "Resident memory.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "seconds":
        "When the process started, Unix time.";
    PROCESS_THREADS = Gauge "process_threads" [] "threads":
        "Threads of the process.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, LABELS, METRICS};

    #[test]
    fn names_follow_prometheus_rules() {
        for metric in METRICS {
            let counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
            let histogram = metric.kind == Kind::Histogram;
            assert_eq!(!metric.buckets.is_empty(), histogram, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(metric.buckets.is_sorted(), "{}", metric.name);
        }
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "a name is used twice");
    }

    #[test]
    fn every_label_says_what_bounds_it() {
        let used: BTreeSet<_> = METRICS.iter().flat_map(|m| m.labels).copied().collect();
        let explained: BTreeSet<_> = LABELS.iter().map(|label| label.name).collect();
        assert_eq!(used, explained);
    }
}
