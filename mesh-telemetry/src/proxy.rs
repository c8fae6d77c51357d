//! The sidecar half: one plain record per request and attempt.
//!
//! The request path only writes times and codes into a record; when the request
//! ends, its metrics are counted through kept handles, and a record that is
//! sampled (or met a fault, a retry, a refusal or a failure) goes over a bounded
//! queue to a thread of its own, where it becomes spans.

mod edge;
mod event;
mod flags;
mod scope;
mod sink;

pub use edge::{Direction, Edge};
pub use event::{
    AttemptEvent, BreakerState, FaultInjected, ProcessEvent, RequestEvent, emit,
};
pub use flags::Flags;
pub use scope::{
    AttemptOutcome, AttemptScope, AttemptStart, HeldFault, RequestOutcome, RequestScope,
};
pub use sink::{FinishedRequest, Sink};
