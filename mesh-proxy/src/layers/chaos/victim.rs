//! Where faults are written down.

use std::time::Duration;

use mesh_telemetry::proxy::{
    AttemptEvent, AttemptScope, FaultInjected, HeldFault, RequestEvent, RequestScope,
};

use crate::error::Fault;

/// The record of whom a fault strikes.
#[derive(Clone, Debug)]
pub(crate) enum Victim {
    Request(RequestScope),
    Attempt(AttemptScope),
}

impl Victim {
    /// A fault that is over as it strikes.
    pub(super) fn struck(&self, fault: FaultInjected) {
        match self {
            Self::Request(scope) => scope.emit(RequestEvent::Fault(fault)),
            Self::Attempt(scope) => scope.emit(AttemptEvent::Fault(fault)),
        }
    }

    /// A fault that holds the request: for how long is known when the guard is dropped.
    pub(super) fn hold(&self, fault: FaultInjected) -> HeldFault {
        match self {
            Self::Request(scope) => scope.hold_fault(fault),
            Self::Attempt(scope) => scope.hold_fault(fault),
        }
    }

    fn work(&self, fault: FaultInjected) -> HeldFault {
        match self {
            Self::Request(scope) => scope.work_fault(fault),
            Self::Attempt(scope) => scope.work_fault(fault),
        }
    }
}

/// A fault that works on a body. It is written down when it begins to do something: an
/// answer that ends before it would break off met no fault.
#[derive(Debug)]
pub(crate) struct Mark {
    victim: Victim,
    /// None: it has begun.
    planned: Option<Box<FaultInjected>>,
    held: Option<HeldFault>,
}

impl Mark {
    pub(super) fn new(victim: Victim, fault: FaultInjected) -> Self {
        Self {
            victim,
            planned: Some(Box::new(fault)),
            held: None,
        }
    }

    /// The body is kept back from now on.
    pub(super) fn waits(&mut self) {
        self.begun();
    }

    /// The body was kept back for so long.
    pub(super) fn waited(&mut self, time: Duration) {
        if time.is_zero() {
            return;
        }
        if let Some(held) = self.begun() {
            held.waited(time);
        }
    }

    /// The body breaks off after so many bytes, with this fault.
    pub(super) fn broke_off(&mut self, bytes: u64, fault: &Fault) {
        self.changed(bytes);
        if let Victim::Request(scope) = &self.victim {
            scope.emit(RequestEvent::BrokenOff {
                reason: fault.reason(),
                flags: fault.flags(),
            });
        }
    }

    /// So many of its bytes were changed.
    pub(super) fn changed(&mut self, bytes: u64) {
        if let Some(held) = self.begun() {
            held.changed(bytes);
        }
    }

    fn begun(&mut self) -> Option<&mut HeldFault> {
        if let Some(fault) = self.planned.take() {
            self.held = Some(self.victim.work(*fault));
        }
        self.held.as_mut()
    }
}
