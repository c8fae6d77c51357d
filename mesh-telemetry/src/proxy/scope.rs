//! Handles on a request and its attempts while they run.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    AttemptEvent, Direction, Edge, FaultInjected, Flags, RequestEvent, Sink,
};
use crate::context::TraceId;

/// How a request ended, as the caller saw it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOutcome {
    /// Final status; none: the caller went away before there was one.
    pub status: Option<u16>,
    /// `grpc-status`, for gRPC.
    pub grpc_status: Option<u16>,
    /// Why the answer is what it is; `DI` and `FI` of faults are added by themselves.
    pub flags: Flags,
    /// Bounded code of a refusal or failure made by this sidecar.
    pub reason: Option<&'static str>,
}

/// What is known when an attempt starts.
#[derive(Clone, Debug)]
pub struct AttemptStart {
    /// 1, 2, …
    pub number: u32,
    /// `host:port` of the endpoint.
    pub endpoint: Arc<str>,
    /// Load the balancer saw there (seconds times requests in flight).
    pub load: f64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttemptOutcome {
    /// Status of the endpoint, or put in place by a fault; none: no answer.
    pub status: Option<u16>,
    /// `grpc-status`, for gRPC.
    pub grpc_status: Option<u16>,
    /// Why; `DI` and `FI` of faults are added by themselves.
    pub flags: Flags,
    /// Bounded code of a failure without an answer, as `connection_refused` or `timeout`.
    pub error: Option<&'static str>,
}

/// One request at this sidecar: lives in the request's extensions, and ends when
/// told, or as cancelled by the caller with the last clone.
#[derive(Clone, Debug)]
pub struct RequestScope {
    trace_id: TraceId,
}

impl RequestScope {
    /// Reads the trace context, decides on sampling, starts the clock.
    #[must_use]
    pub fn begin(_sink: &Sink, _direction: Direction, _request: &http::request::Parts) -> Self {
        Self { trace_id: TraceId::INVALID }
    }

    /// The trace the request belongs to, also when it is not sampled.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Says whose traffic this is; before that it is destination `unknown`, route `none`.
    pub fn set_edge(&self, _edge: &Arc<Edge>) {}

    /// Writes down what happened.
    pub fn emit(&self, _event: RequestEvent) {}

    /// Writes a delay fault down now, and its true length when the guard is dropped.
    pub fn hold_fault(&self, _fault: FaultInjected) -> HeldFault {
        HeldFault { _private: () }
    }

    /// Starts an attempt (inbound: the hop to the application).
    #[must_use]
    pub fn begin_attempt(&self, attempt: AttemptStart) -> AttemptScope {
        AttemptScope { number: attempt.number }
    }

    /// Ends the request; only the first call counts. Call it at the end of the body.
    pub fn finish(&self, _outcome: RequestOutcome) {}
}

/// One attempt; ends when told, or as cancelled with the last clone.
#[derive(Clone, Debug)]
pub struct AttemptScope {
    number: u32,
}

impl AttemptScope {
    /// Writes the trace context of this attempt (inbound: of the request) into the
    /// headers that go to the endpoint.
    pub fn inject(&self, _headers: &mut HeaderMap) {}

    /// Writes down what happened.
    pub fn emit(&self, _event: AttemptEvent) {}

    /// Writes a delay fault down now, and its true length when the guard is dropped.
    pub fn hold_fault(&self, _fault: FaultInjected) -> HeldFault {
        HeldFault { _private: () }
    }

    /// 1, 2, …
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Ends the attempt; only the first call counts. Call it for the attempt whose
    /// answer is passed on at the end of the body, for others when they failed.
    pub fn finish(&self, _outcome: AttemptOutcome) {}
}

/// A request that a fault holds now; dropping it ends the delay.
#[derive(Debug)]
#[must_use = "the fault ends when this is dropped"]
pub struct HeldFault {
    _private: (),
}
