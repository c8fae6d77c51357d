//! A rule that strikes: its faults, one after the other, in the order of their kinds.

use std::sync::Arc;

use mesh_telemetry::proxy::{
    AttemptEvent, AttemptScope, FaultInjected, HeldFault, RequestEvent, RequestScope,
};
use tokio::time::{Instant, sleep};

use super::{Target, chance::Chance, chance::sample, post::Hits, receipt::Affected, rule::Armed};
use crate::{
    body::Response,
    config::FaultKind,
    error::{Blow, Fault, ProxyError},
};

/// One rule that strikes one request or attempt.
pub(crate) struct Strike {
    pub(super) rule: Arc<Armed>,
    /// Which of the place's rules is asked next.
    pub(super) next: usize,
    pub(super) hits: Hits,
    /// Trace that was drawn for.
    pub(super) fate: [u8; 16],
    /// It is not the request's own.
    pub(super) replayed: bool,
    pub(super) attempt: u32,
    /// As long as the rule has to do with the request.
    pub(super) kept: Affected,
}

impl Strike {
    /// Whatever comes before the answer. An error ends the request; what comes back has
    /// more to do with the answer.
    pub(super) async fn befall(self, target: &mut impl Target) -> Result<Option<Self>, ProxyError> {
        let victim = target.victim();
        if let Some(fault) = self.fault(FaultKind::RequestHeaders) {
            self.rule.request_headers().apply(target.headers_mut());
            victim.struck(fault);
        }
        if !self.delay(&victim).await {
            return Ok(None);
        }
        let severs = target.is_node();
        for kind in [FaultKind::Refuse, FaultKind::Reset] {
            let blow = match kind {
                FaultKind::Refuse => Blow::Refuse,
                _ if severs => Blow::Sever,
                _ => Blow::Reset,
            };
            self.end(kind, blow, &victim)?;
        }
        if let Some(fault) = self.fault(FaultKind::Hang) {
            let _held = victim.hold(fault);
            self.rule.over().await;
            return Ok(None); // nobody gave up before the rule did: the request goes on
        }
        if let Some(blow) = self.rule.abort() {
            self.end(FaultKind::Abort, blow.clone(), &victim)?;
        }
        Ok(Some(self).filter(Self::is_for_answers))
    }

    /// Whether the request goes on under the rule.
    async fn delay(&self, victim: &Victim) -> bool {
        let (Some(mut fault), Some(delay)) =
            (self.fault(FaultKind::Delay), &self.rule.rule().delay)
        else {
            return true;
        };
        let planned = sample(delay, &mut self.chance(FaultKind::Delay));
        fault.planned = Some(planned);
        // Dropped with this future when somebody runs out of patience, and then
        // knows how long the pause really was.
        let _held = victim.hold(fault);
        tokio::select! {
            () = sleep(planned) => true,
            () = self.rule.over() => false, // the request goes on unharmed
        }
    }

    fn end(&self, kind: FaultKind, blow: Blow, victim: &Victim) -> Result<(), ProxyError> {
        let Some(injected) = self.fault(kind) else {
            return Ok(());
        };
        let rule = Arc::clone(self.rule.id());
        let fault = Fault { rule, blow };
        victim.struck(replacing(injected, &fault));
        Err(ProxyError::Fault(fault))
    }

    fn is_for_answers(&self) -> bool {
        self.hits[FaultKind::ResponseHeaders as usize..]
            .iter()
            .any(Option::is_some)
    }

    /// What comes with the answer, unless the rule is over by now.
    pub(super) fn afflict(self, mut response: Response, victim: &Victim) -> Response {
        if self.rule.is_over(Instant::now()) {
            return response;
        }
        if let Some(fault) = self.fault(FaultKind::ResponseHeaders) {
            self.rule.response_headers().apply(response.headers_mut());
            victim.struck(fault);
        }
        response
    }

    fn fault(&self, kind: FaultKind) -> Option<FaultInjected> {
        let drawn = self.hits[kind as usize]?;
        let rule = &self.rule;
        Some(FaultInjected {
            fate: self.replayed.then_some(self.fate),
            ..FaultInjected::new(rule.id(), kind.as_str(), rule.rule().seed, drawn)
        })
    }

    fn chance(&self, kind: FaultKind) -> Chance {
        let rule = self.rule.rule();
        Chance::of(rule.seed, &rule.id, kind, self.fate, self.attempt)
    }
}

/// Says what stands in place of the upstream's answer. Who is severed gets none.
fn replacing(injected: FaultInjected, fault: &Fault) -> FaultInjected {
    let (status, grpc) = match fault.answer() {
        Some((_, Some(grpc))) => (None, Some(grpc)),
        Some((status, None)) => (Some(status), None),
        None if matches!(fault.blow, Blow::Sever) => (None, None),
        None => (Some(fault.status().as_u16()), None),
    };
    FaultInjected {
        replaced_status: status,
        replaced_grpc_status: grpc,
        ..injected
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

    /// A fault that holds the request: for how long is known when the guard is dropped.
    fn hold(&self, fault: FaultInjected) -> HeldFault {
        match self {
            Self::Request(scope) => scope.hold_fault(fault),
            Self::Attempt(scope) => scope.hold_fault(fault),
        }
    }
}
