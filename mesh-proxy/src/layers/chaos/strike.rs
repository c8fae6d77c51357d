//! A rule that strikes: its faults, one after the other, in the order of their kinds.

use std::sync::Arc;

use mesh_telemetry::proxy::FaultInjected;
use tokio::time::{Instant, sleep};

use super::{
    Target,
    body::{Work, Works, afflict},
    chance::{Chance, sample},
    post::{Hit, Hits},
    receipt::Affected,
    rule::Armed,
    victim::{Mark, Victim},
};
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
        afflict(response, self.works(victim))
    }

    fn works(self, victim: &Victim) -> Works {
        let rule = self.rule.rule();
        Works {
            chunk_delay: self.work(FaultKind::ChunkDelay, victim, rule.chunk_delay, |it| {
                (it, self.chance(FaultKind::ChunkDelay))
            }),
            throttle: self.work(FaultKind::Throttle, victim, rule.throttle, |it| it),
            corrupt: self.work(FaultKind::Corrupt, victim, rule.corrupt, |it| {
                (it, self.chance(FaultKind::Corrupt))
            }),
            truncate: self.work(FaultKind::Truncate, victim, rule.truncate, |it| it),
            rule: Arc::clone(&self.rule),
            kept: self.kept,
        }
    }

    /// One work on the body, if the rule has it and it strikes.
    fn work<T, W>(
        &self,
        kind: FaultKind,
        victim: &Victim,
        what: Option<T>,
        make: impl FnOnce(T) -> W,
    ) -> Option<Work<W>> {
        let (what, fault) = (what?, self.fault(kind)?);
        Some(Work {
            what: make(what),
            held: Mark::new(victim.clone(), fault),
        })
    }

    fn fault(&self, kind: FaultKind) -> Option<FaultInjected> {
        let Hit { drawn, share } = self.hits[kind as usize]?;
        let (rule, seed) = (&self.rule, self.rule.rule().seed);
        Some(FaultInjected {
            fate: self.replayed.then_some(self.fate),
            ..FaultInjected::new(rule.id(), kind.as_str(), seed, drawn, share)
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
