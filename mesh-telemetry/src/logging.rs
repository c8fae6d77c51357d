//! The process's log, on standard error, and the bridge from `tracing` to spans.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::LevelFilter, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// `RUST_LOG` decides what is logged; without it, warnings. The first
/// installation in a process stands.
pub(crate) fn install(provider: Option<&SdkTracerProvider>) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    // The options that are off each cost a few hundred nanoseconds a span and say
    // nothing that the names here do not. Events never decide on a span's status:
    // the rules of the semantic conventions do.
    let spans = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("shop"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_error_events_to_status(false)
            .with_error_events_to_exceptions(false)
            .with_filter(LevelFilter::INFO)
    });
    let _first_stands = tracing_subscriber::registry()
        .with(log)
        .with(spans)
        .try_init();
}
