//! Faults on purpose: a pause, an answer instead of the upstream's, or both.
//!
//! The layer stands at three places and means each time what lies below it:
//! before `retry` the whole dependency, after it one attempt, inbound the node.

mod body;
mod chance;
mod draw;
pub(crate) mod matching;
mod receipt;
pub(crate) mod rule;

use std::{sync::Arc, time::Duration};

use mesh_telemetry::proxy::{
    AttemptEvent, AttemptScope, FaultInjected, HeldFault, RequestEvent, RequestScope,
};
use tokio::time::{Instant, sleep};

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::Response,
    call::{Attempt, Routed},
    error::ProxyError,
};
use rule::{Armed, Rules};

/// What a rule of this id and seed draws for an attempt of a trace, 0 to 1: below the
/// rule's share it strikes. Lets a fault that was seen be explained, and a test
/// choose a trace that is hit.
#[must_use]
pub fn redraw(seed: u64, rule: &str, trace_id: [u8; 16], attempt: u32) -> f64 {
    draw::draw(seed, draw::rule_key(rule), trace_id, attempt)
}

/// The layer. A request that no rule strikes passes it by.
pub(crate) struct Chaos;

impl<R: Target> Detour<R> for Chaos {
    fn is_needed(&self, request: &R) -> bool {
        let (trace_id, attempt) = (request.trace_id(), request.attempt());
        let mut rules = request.rules().iter();
        rules.any(|rule| rule.strikes(trace_id, attempt, Instant::now()).is_some())
    }
}

impl<R: Target, Next: Fallible<R>> Around<R, Next> for Chaos {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, request: R, mut next: Next) -> Result<Response, ProxyError> {
        let (trace_id, attempt) = (request.trace_id(), request.attempt());
        for rule in request.rules().clone().iter() {
            if let Some(drawn) = rule.strikes(trace_id, attempt, Instant::now()) {
                let victim = request.victim();
                inject(rule, drawn, victim).await?;
            }
        }
        next.call(request).await
    }
}

async fn inject(rule: &Arc<Armed>, drawn: f64, victim: Victim) -> Result<(), ProxyError> {
    if let Some(delay) = rule.delay() {
        // Dropped with this future when somebody runs out of patience, and then
        // knows how long the pause really was.
        let _held = victim.hold(fault(rule, drawn, "delay", Some(delay), None));
        tokio::select! {
            () = sleep(delay) => {}
            () = rule.over() => return Ok(()), // taken back: the request goes on unharmed
        }
    }
    let Some(status) = rule.abort() else {
        return Ok(());
    };
    victim.struck(fault(rule, drawn, "abort", None, Some(status.as_u16())));
    Err(ProxyError::Fault {
        rule: Arc::clone(rule.id()),
        status,
    })
}

fn fault(
    rule: &Armed,
    draw: f64,
    fault: &'static str,
    planned: Option<Duration>,
    replaced_status: Option<u16>,
) -> FaultInjected {
    FaultInjected {
        planned,
        replaced_status,
        ..FaultInjected::new(rule.id(), fault, rule.seed(), draw)
    }
}

/// What a fault can strike.
pub(crate) trait Target: Send + 'static {
    /// Rules for it.
    fn rules(&self) -> &Rules;
    /// What a draw depends on.
    fn trace_id(&self) -> [u8; 16];
    /// The other thing it depends on.
    fn attempt(&self) -> u32;
    /// Whose record says so.
    fn victim(&self) -> Victim;
}

impl Target for Routed {
    fn rules(&self) -> &Rules {
        &self.route.request_faults
    }
    fn trace_id(&self) -> [u8; 16] {
        self.scope.trace_id().to_bytes()
    }
    fn attempt(&self) -> u32 {
        self.callers_attempt
    }
    fn victim(&self) -> Victim {
        Victim::Request(self.scope.clone())
    }
}

impl Target for Attempt {
    fn rules(&self) -> &Rules {
        &self.route.attempt_faults
    }
    fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }
    fn attempt(&self) -> u32 {
        self.number
    }
    fn victim(&self) -> Victim {
        Victim::Attempt(self.scope.clone())
    }
}

/// Where a fault is written down.
pub(crate) enum Victim {
    Request(RequestScope),
    Attempt(AttemptScope),
}

impl Victim {
    fn struck(&self, fault: FaultInjected) {
        match self {
            Self::Request(scope) => scope.emit(RequestEvent::Fault(fault)),
            Self::Attempt(scope) => scope.emit(AttemptEvent::Fault(fault)),
        }
    }

    /// A delay: its true length is known when the guard is dropped.
    fn hold(&self, fault: FaultInjected) -> HeldFault {
        match self {
            Self::Request(scope) => scope.hold_fault(fault),
            Self::Attempt(scope) => scope.hold_fault(fault),
        }
    }
}
