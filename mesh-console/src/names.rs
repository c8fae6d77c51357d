//! Names that the console reads, in spans and on metric pages. They are written
//! in mesh-telemetry; a test holds the metrics against its catalog.

/// Instrumentation scopes.
pub(crate) mod scope {
    pub(crate) const SIDECAR: &str = "mesh-proxy";
}

/// Attributes of resources and spans.
pub(crate) mod attribute {
    pub(crate) const SOURCE: &str = "mesh.source";
    pub(crate) const DESTINATION: &str = "mesh.destination";
    pub(crate) const ROUTE: &str = "mesh.route";
    pub(crate) const ATTEMPTS: &str = "mesh.attempts";
    pub(crate) const REASON: &str = "mesh.reason";
    pub(crate) const FLAGS: &str = "mesh.response_flags";
    pub(crate) const METHOD: &str = "http.request.method";
    pub(crate) const PATH: &str = "url.path";
    pub(crate) const GRPC_STATUS: &str = "rpc.response.status_code";
    pub(crate) const SERVICE: &str = "service.name";
    pub(crate) const STATUS: &str = "http.response.status_code";
    pub(crate) const RESEND: &str = "http.request.resend_count";
    pub(crate) const ATTEMPT: &str = "mesh.attempt";
    pub(crate) const RULE: &str = "rule";
}

/// Events of spans.
pub(crate) mod event {
    pub(crate) const FAULT: &str = "mesh.fault";
}

/// Metrics of a sidecar.
pub(crate) mod metric {
    pub(crate) const REQUESTS: &str = "mesh_requests_total";
    pub(crate) const DURATION: &str = "mesh_request_duration_seconds";
    pub(crate) const ATTEMPTS: &str = "mesh_attempts_total";
    pub(crate) const RETRIES: &str = "mesh_retries_total";
    pub(crate) const FAULTS: &str = "mesh_faults_injected_total";
}

/// Source of what enters the mesh.
pub(crate) const EXTERNAL: &str = "external";

#[cfg(test)]
mod tests {
    use mesh_telemetry::catalog::{Kind, METRICS};

    use super::metric;

    #[test]
    fn metrics_and_their_labels_are_in_the_catalog() {
        for (name, kind, labels) in [
            (
                metric::REQUESTS,
                Kind::Counter,
                &["direction", "source", "destination", "response_code"][..],
            ),
            (
                metric::DURATION,
                Kind::Histogram,
                &["direction", "source", "destination"],
            ),
            (
                metric::ATTEMPTS,
                Kind::Counter,
                &["source", "destination", "response_code"],
            ),
            (metric::RETRIES, Kind::Counter, &["source", "destination"]),
            (
                metric::FAULTS,
                Kind::Counter,
                &["rule", "source", "destination"],
            ),
        ] {
            let found = METRICS.iter().find(|one| one.name == name);
            let found = found.unwrap_or_else(|| panic!("{name} is not in the catalog"));
            assert_eq!(found.kind, kind, "{name}");
            for label in labels {
                assert!(found.labels.contains(label), "{name} has no label {label}");
            }
        }
    }
}
