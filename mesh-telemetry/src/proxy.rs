//! The sidecar half: one plain record per request and attempt.
//!
//! The request path only writes times and codes into a record; when the request
//! ends, its metrics are counted through kept handles, and a record that is
//! sampled (or met a fault, a retry, a refusal or a failure) goes over a bounded
//! queue to a thread of its own, where it becomes spans.

mod access_log;
mod breakers;
mod edge;
mod event;
mod exemplars;
mod fault;
mod flags;
mod outcome;
mod process;
mod record;
mod rule_label;
mod scope;
mod sink;
mod spans;
mod tunnel;

pub use access_log::{AccessLog, AccessLogOptions};
pub use breakers::BreakerGauge;
pub(crate) use breakers::render as render_breakers;
pub use edge::Edge;
pub use event::{AttemptEvent, BreakerState, FaultInjected, ProcessEvent, RequestEvent, Secured};
pub use fault::HeldFault;
pub use flags::Flags;
pub(crate) use outcome::method_label;
pub use outcome::{AttemptOutcome, AttemptStart, Direction, RequestOutcome, grpc_code, grpc_name};
pub use process::emit;
pub(crate) use process::register;
pub use scope::{AttemptScope, RequestScope};
pub use sink::{FinishedRequest, Sink};
pub use tunnel::Tunnel;

#[cfg(test)]
mod tests;
