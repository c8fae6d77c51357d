//! What can go wrong when telemetry is switched on.

/// Why telemetry could not be switched on.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Telemetry is installed from inside the process's tokio runtime.
    #[error("telemetry needs a tokio runtime: install it inside `run`, not before")]
    NoRuntime,
    /// A variable or option cannot be understood.
    #[error("{name}: `{value}` is not understood; expected {expected}")]
    Setting {
        /// Variable or option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        expected: &'static str,
    },
    /// The OTLP exporter refused its settings.
    #[error("the span exporter for `{endpoint}` could not be made: {cause}")]
    Exporter {
        /// Where spans were to go.
        endpoint: String,
        /// The exporter's own words.
        cause: String,
    },
    /// The process gave no thread for the export of spans.
    #[error("the thread that exports spans could not be started: {0}")]
    Thread(#[source] std::io::Error),
    /// Another library took the place of the metrics recorder.
    #[error("another metrics recorder is already installed in this process")]
    Recorder,
}
