//! Every metric, event, span, propagator and exporter of Glassmesh, once.
//!
//! Code elsewhere says *what happened* in typed events and scopes; which metric,
//! span, attribute or label becomes of it is written here and nowhere else.
//!
//! - [`install_service`], [`install_proxy`], [`install_plain`]: what a process
//!   switches on when it starts, and [`Telemetry`], what it shuts down at its end;
//! - [`proxy`]: the sidecar half, one plain record per request, turned into spans
//!   away from the request path;
//! - [`service`]: the ordinary way with `tracing` and `tracing-opentelemetry`;
//! - [`console`]: what the console shows of the chaos rules in force;
//! - [`context`]: the W3C headers that tie both into one trace;
//! - [`catalog`]: the one table of all metrics.

#![expect(
    clippy::disallowed_macros,
    reason = "span names live in this crate; the lint cannot be lifted in a single module"
)]

pub mod catalog;
pub mod console;
pub mod context;
mod environment;
mod error;
mod exemplar;
mod export;
mod identity;
mod install;
mod logging;
mod otlp;
mod page;
mod propagation;
pub mod proxy;
mod readiness;
mod register;
mod sampling;
pub mod service;
pub mod task;

pub use error::TelemetryError;
pub use identity::{Component, Identity};
pub use install::{Options, Telemetry, install_plain, install_proxy, install_service};
pub use readiness::Readiness;
