//! Switching telemetry on when a process starts, and off when it ends.

use crate::{Readiness, TelemetryError, proxy::Sink};

/// What kind of process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A service of the shop.
    Service,
    /// A sidecar.
    Sidecar,
    /// The console.
    Console,
    /// The load generator.
    Load,
    /// The command line.
    Cli,
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `service.name`; a sidecar gives its application's.
    pub service: String,
    /// Name of the instance, as `payments-2`.
    pub instance: String,
    /// Kind of process.
    pub component: Component,
}

/// What a process asks of telemetry; `OTEL_*` variables add to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who reports.
    pub identity: Identity,
    /// OTLP/gRPC endpoint, as `http://127.0.0.1:4317`; none: the `OTEL_*` variables decide.
    pub otlp: Option<String>,
    /// Share of new traces that are kept, 0 to 1.
    pub sample_ratio: f64,
}

/// Holds everything that is to be shut down when the process ends.
#[derive(Debug)]
pub struct Telemetry {
    _private: (),
}

impl Telemetry {
    /// Exports what is left, for two seconds at most.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn shutdown(self) {}

    /// The page that Prometheus reads, as it is now.
    #[must_use]
    pub fn render(&self) -> String {
        String::new()
    }

    /// `GET /metrics`, `/health/live` and `/health/ready`.
    pub fn metrics_router(&self, _ready: Readiness) -> axum::Router {
        axum::Router::new()
    }
}

/// Logs, metrics and spans of a service.
pub fn install_service(_options: Options) -> Result<Telemetry, TelemetryError> {
    Ok(Telemetry { _private: () })
}

/// Logs and metrics only: console, load, command line.
pub fn install_plain(_options: Options) -> Result<Telemetry, TelemetryError> {
    Ok(Telemetry { _private: () })
}

/// Logs, metrics and the record pipeline of a sidecar.
pub fn install_proxy(_options: Options) -> Result<(Telemetry, Sink), TelemetryError> {
    Ok((Telemetry { _private: () }, Sink::disconnected()))
}
