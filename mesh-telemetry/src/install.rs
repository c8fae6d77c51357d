//! Switching telemetry on when a process starts, and off when it ends.
//!
//! Log, metrics recorder and tracing subscriber belong to the process: where two
//! roles are installed in one (as in tests), the first one's stand, and each
//! still has an export of its own.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::{runtime::Handle, task::JoinHandle, time::MissedTickBehavior};

use crate::{
    Readiness, TelemetryError, catalog,
    environment::Environment,
    export::{ExportSettings, Exporter},
    identity::Identity,
    logging, page, propagation,
    proxy::{self, Sink},
    register::{self, gauge},
    sampling::Sampling,
    service, task,
};

/// Samples of histograms pile up until somebody sorts them into buckets.
const UPKEEP: Duration = Duration::from_secs(5);
/// Records that wait at a sidecar; the SDK's default for spans.
const PROXY_QUEUE: usize = 2048;
/// Spans that wait at a service: a request there has several.
const SERVICE_QUEUE: usize = 16_384;
/// Spans in one export; the SDK's default.
const BATCH: usize = 512;
/// So that a trace is whole in the console at a glance.
const PROXY_DELAY: Duration = Duration::from_millis(200);
/// The same for services.
const SERVICE_DELAY: Duration = Duration::from_millis(500);
/// Longest that one export takes with its repetitions; the SDK's default.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a single try takes; OTLP's default.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a process asks of telemetry; `OTEL_*` variables add to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who reports.
    pub identity: Identity,
    /// OTLP/gRPC endpoint, as `http://127.0.0.1:4317`; none:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` decides, and without it nothing is exported.
    pub otlp: Option<String>,
    /// Share of new traces that are kept, 0 to 1, unless `OTEL_TRACES_SAMPLER` is set.
    pub sample_ratio: f64,
}

/// Holds everything that is to be shut down when the process ends.
#[derive(Debug)]
pub struct Telemetry {
    page: PrometheusHandle,
    exporter: Option<Exporter>,
    upkeep: JoinHandle<()>,
    /// Spans of a service end here only while it lives.
    _provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Exports what is left, for two seconds at most. Call it when no request runs
    /// any more, before the runtime ends.
    pub async fn shutdown(mut self) {
        if let Some(exporter) = self.exporter.take() {
            exporter.shutdown().await;
        }
    }

    /// The page that Prometheus reads, as it is now. It may take milliseconds: not
    /// for the request path.
    #[must_use]
    pub fn render(&self) -> String {
        page::render(&self.page)
    }

    /// The same in the OpenMetrics text format, with exemplars: what a scraper gets
    /// that asks for it.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        page::render_open(&self.page)
    }

    /// `GET /metrics` (in the format that the scraper prefers), `/health/live` and
    /// `/health/ready` (503 until `ready` says so).
    pub fn metrics_router(&self, ready: Readiness) -> axum::Router {
        page::router(self.page.clone(), ready)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

/// Logs, metrics and spans of a service.
pub fn install_service(options: Options) -> Result<Telemetry, TelemetryError> {
    let setup = Setup::new(options)?;
    let exporter = setup.exporter(SERVICE_QUEUE, SERVICE_DELAY)?;
    propagation::decide_by(setup.sampling);
    // Without export there are no spans at all, and contexts pass through
    // unchanged: a parent that nobody ever sees would tear traces apart.
    let provider = exporter
        .as_ref()
        .map(|exporter| service::provider(setup.sampling, setup.resource(), exporter.queue()));
    logging::install(provider.as_ref());
    Ok(setup.finish(exporter, provider))
}

/// Logs and metrics only: console, load, command line.
pub fn install_plain(options: Options) -> Result<Telemetry, TelemetryError> {
    let setup = Setup::new(options)?;
    logging::install(None);
    Ok(setup.finish(None, None))
}

/// Logs, metrics and the record pipeline of a sidecar.
pub fn install_proxy(options: Options) -> Result<(Telemetry, Sink), TelemetryError> {
    let setup = Setup::new(options)?;
    logging::install(None);
    let exporter = setup.exporter(PROXY_QUEUE, PROXY_DELAY)?;
    let queue = exporter.as_ref().map(Exporter::queue);
    let fixed = setup.environment.sampling.is_some();
    let sink = Sink::connected(
        queue,
        setup.sampling,
        fixed,
        &setup.options.identity.service,
    );
    proxy::register();
    Ok((setup.finish(exporter, None), sink))
}

/// What all roles do, in the order in which it must happen: the recorder first,
/// because handles that are taken before it count nothing.
struct Setup {
    options: Options,
    environment: Environment,
    sampling: Sampling,
    page: PrometheusHandle,
}

impl Setup {
    fn new(options: Options) -> Result<Self, TelemetryError> {
        if Handle::try_current().is_err() {
            return Err(TelemetryError::NoRuntime);
        }
        let environment = Environment::read();
        let asked = Sampling::parent_based(ratio(options.sample_ratio)?);
        let sampling = environment.sampling.unwrap_or(asked);
        let page = register::install()?;
        Ok(Self {
            options,
            environment,
            sampling,
            page,
        })
    }

    fn resource(&self) -> Resource {
        self.options
            .identity
            .resource(self.environment.service_name.as_deref())
    }

    /// The export of spans; none when nobody wants it or says where to.
    fn exporter(&self, queue: usize, delay: Duration) -> Result<Option<Exporter>, TelemetryError> {
        let environment = &self.environment;
        let endpoint = self.options.otlp.as_ref().or(environment.endpoint.as_ref());
        let Some(endpoint) = endpoint.filter(|_| !environment.disabled && !environment.no_export)
        else {
            return Ok(None);
        };
        let settings = ExportSettings {
            endpoint: with_scheme(endpoint)?,
            resource: self.resource(),
            queue: environment.queue.unwrap_or(queue),
            batch: environment.batch.unwrap_or(BATCH),
            delay: environment.delay.unwrap_or(delay),
            timeout: environment.timeout.unwrap_or(TIMEOUT),
            try_timeout: environment.try_timeout.unwrap_or(TRY_TIMEOUT),
            headers: environment.headers.clone(),
        };
        Exporter::start(settings).map(Some)
    }

    fn finish(self, exporter: Option<Exporter>, provider: Option<SdkTracerProvider>) -> Telemetry {
        for complaint in &self.environment.complaints {
            tracing::warn!("{complaint}");
        }
        if let Some(propagators) = self.environment.propagators {
            propagation::choose(propagators);
        }
        let component = self.options.identity.component.as_str();
        let version = env!("CARGO_PKG_VERSION");
        gauge(&catalog::BUILD_INFO, &[version, component]).set(1.0);
        let upkeep = task::spawn("metrics_upkeep", upkeep(self.page.clone()));
        Telemetry {
            page: self.page,
            exporter,
            upkeep,
            _provider: provider,
        }
    }
}

async fn upkeep(page: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        page.run_upkeep();
    }
}

fn ratio(ratio: f64) -> Result<f64, TelemetryError> {
    if (0.0..=1.0).contains(&ratio) {
        return Ok(ratio);
    }
    Err(TelemetryError::Setting {
        name: "sample ratio",
        value: ratio.to_string(),
        expected: "a share from 0 to 1",
    })
}

/// Without a scheme the exporter would take TLS for granted: refuse to guess.
fn with_scheme(endpoint: &str) -> Result<String, TelemetryError> {
    if endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        return Ok(endpoint.to_owned());
    }
    Err(TelemetryError::Setting {
        name: "OTLP endpoint",
        value: endpoint.to_owned(),
        expected: "a URL, as `http://127.0.0.1:4317`",
    })
}
