//! A request and what has been tried of it.

use std::{sync::Arc, time::Duration};

use mesh_telemetry::proxy::RequestScope;
use tokio::time::Instant;

use super::source::Source;
use crate::{
    body::Request,
    call::{Routed, Tried, Try},
    cluster::budget::Withdrawal,
    config::{Hedge, RetryPolicy},
    error::ProxyError,
    policy::RouteState,
};

/// Why there is no further attempt after the last one allowed.
pub(super) const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";

/// Why there is no further attempt so shortly before the deadline.
const DEADLINE: &str = "deadline";

/// See the module.
pub(super) struct Tries {
    routed: Routed,
    source: Source,
    tried: Option<Tried>,
    number: u32,
    /// The last one begun, or the one that has the answer.
    ahead: u32,
}

impl Tries {
    pub(super) fn new(mut routed: Routed) -> Self {
        let body = std::mem::take(routed.request.body_mut());
        let several = retry(&routed.route).is_some() || hedge(&routed.route).is_some();
        let source = if several {
            Source::of(&routed.request, body, routed.route.retry.as_ref())
        } else {
            Source::Once(Some(body), ATTEMPTS_EXHAUSTED)
        };
        Self {
            source,
            tried: several.then(Tried::default),
            routed,
            number: 0,
            ahead: 0,
        }
    }

    /// Conditions and bounds of retries; none: there are none.
    pub(super) fn retry(&self) -> Option<&RetryPolicy> {
        retry(&self.routed.route)
    }

    /// When to try beside an attempt; none: never.
    pub(super) fn hedge(&self) -> Option<&Hedge> {
        hedge(&self.routed.route)
    }

    /// How many tries there were.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn scope(&self) -> &RequestScope {
        &self.routed.scope
    }

    /// The next try, unless there is too little time for one.
    pub(super) fn next(&mut self) -> Result<Try, ProxyError> {
        if self.is_too_late(Duration::ZERO) {
            return Err(ProxyError::Deadline);
        }
        self.source.supersede();
        let one = self.begin();
        if !self.has_tries_left() {
            self.settle();
        }
        Ok(one)
    }

    /// This one has the answer; those that still run beside it have lost.
    pub(super) fn answered_by(&mut self, number: u32, others_run: bool) {
        self.ahead = number;
        if let Some(tried) = self.tried.as_ref().filter(|_| others_run) {
            tried.win();
        }
    }

    /// There will be no further try: nothing is kept for one.
    pub(super) fn settle(&self) {
        self.source.settle(self.ahead);
    }

    /// A try beside those that run, with the share of the budget that is left; or why not.
    pub(super) fn beside(&mut self) -> Result<(Try, f64), &'static str> {
        self.source.shareable()?;
        if self.is_too_late(Duration::ZERO) {
            return Err(DEADLINE);
        }
        let left = self.withdraw()?;
        Ok((self.begin(), left))
    }

    /// Whether the request may have one try more, whatever happened to those before.
    pub(super) fn has_tries_left(&self) -> bool {
        let retries = self.retry().map_or(1, |policy| policy.attempts);
        let hedges = self.hedge().map_or(1, |hedge| hedge.attempts);
        self.number < retries.max(hedges)
    }

    /// Grants another attempt, with the share of the budget left, or says why not.
    /// The budget comes last, because asking it costs.
    pub(super) fn may_repeat(
        &self,
        policy: &RetryPolicy,
        pause: Option<Duration>,
    ) -> Result<f64, &'static str> {
        if self.number >= policy.attempts {
            return Err(ATTEMPTS_EXHAUSTED);
        }
        self.source.repeatable()?;
        if self.is_too_late(pause.ok_or(DEADLINE)?) {
            return Err(DEADLINE);
        }
        self.withdraw()
    }

    /// Share of the cluster's budget that is left, 0 to 1.
    pub(super) fn budget_left(&self) -> f64 {
        self.routed.route.cluster.as_ref().map_or(0.0, |cluster| {
            let settings = &cluster.settings().budget;
            cluster.budget().left(settings, Instant::now())
        })
    }

    /// Whether there is an endpoint that this request has not been tried at.
    pub(super) fn has_untried_endpoint(&self) -> bool {
        let Some((cluster, tried)) = self.routed.route.cluster.as_ref().zip(self.tried.as_ref())
        else {
            return false;
        };
        cluster.has_other_than(tried)
    }

    fn withdraw(&self) -> Result<f64, &'static str> {
        const EXHAUSTED: &str = "budget_exhausted";
        let cluster = self.routed.route.cluster.as_ref().ok_or(EXHAUSTED)?;
        let settings = &cluster.settings().budget;
        match cluster.budget().withdraw(settings, Instant::now()) {
            Withdrawal::Granted(left) => Ok(left),
            Withdrawal::Exhausted => Err(EXHAUSTED),
        }
    }

    /// Whether an attempt after this pause would begin too shortly before the deadline.
    fn is_too_late(&self, pause: Duration) -> bool {
        let needed = pause + self.routed.route.times.attempt_min;
        self.routed
            .deadline
            .as_ref()
            .is_some_and(|due| due.left(Instant::now()) < needed)
    }

    fn begin(&mut self) -> Try {
        self.number += 1;
        self.ahead = self.number;
        Try {
            request: self.request(),
            scope: self.routed.scope.clone(),
            route: Arc::clone(&self.routed.route),
            deadline: self.routed.deadline.clone(),
            number: self.number,
            tried: self.tried.clone(),
        }
    }

    fn request(&mut self) -> Request {
        let body = self.source.body();
        let original = &mut self.routed.request;
        if self.tried.is_none() {
            // The only one: nothing has to be left for another.
            return std::mem::take(original).map(|_| body);
        }
        let mut copy = Request::new(body);
        copy.method_mut().clone_from(original.method());
        copy.uri_mut().clone_from(original.uri());
        *copy.version_mut() = original.version();
        copy.headers_mut().clone_from(original.headers());
        copy.extensions_mut().clone_from(original.extensions());
        copy
    }
}

fn retry(route: &RouteState) -> Option<&RetryPolicy> {
    route.retry.as_ref().filter(|policy| policy.attempts > 1)
}

fn hedge(route: &RouteState) -> Option<&Hedge> {
    route.hedge.as_ref().filter(|hedge| hedge.attempts > 1)
}
