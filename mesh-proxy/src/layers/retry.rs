//! Further attempts, where they are allowed, affordable and likely to help.
//!
//! - allowed: the outcome is one of the route's conditions, and the request is
//!   idempotent or carries an `Idempotency-Key`;
//! - affordable: the cluster's budget grants it, and the body can be sent again;
//! - likely to help: there is time for it before the deadline.

mod backoff;
mod replay;

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use mesh_telemetry::proxy::{Flags, RequestEvent};
use tokio::time::{Instant, sleep};

use super::{Around, Fallible, attempt_telemetry::discard, request_telemetry::Verdict};
use crate::{
    body::{Body, Request, Response},
    call::{Routed, Tried, Try},
    client::is_idempotent,
    cluster::{Cluster, budget::Withdrawal},
    config::{RetryOn, RetryPolicy},
    error::ProxyError,
    names,
    policy::RouteState,
    shared::Shared,
};
use backoff::Asked;
pub(crate) use replay::REPLAY_CAP;
use replay::Replay;

/// The layer.
pub(crate) struct Retry(Arc<Shared>);

impl Retry {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl<Next: Fallible<Try>> Around<Routed, Next> for Retry {
    type Error = ProxyError;

    async fn call(&self, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        if let Some(cluster) = &routed.route.cluster {
            cluster.budget().deposit(Instant::now());
        }
        let mut tries = Tries::new(routed);
        loop {
            let one = tries.next()?;
            let result = next.call(one).await;
            match tries.judge(result, &self.0) {
                Judgement::Final(result) => return result,
                Judgement::Again(pause) => sleep(pause).await,
            }
        }
    }
}

/// What becomes of an outcome.
enum Judgement {
    Final(Result<Response, ProxyError>),
    Again(Duration),
}

/// A request and what has been tried of it.
struct Tries {
    routed: Routed,
    source: Source,
    tried: Option<Tried>,
    number: u32,
}

/// Where the bodies of the attempts come from.
enum Source {
    /// There is no body, or it is kept: any number of attempts.
    Empty,
    Kept(Replay),
    /// One attempt, for this reason.
    Once(Option<Body>, &'static str),
}

impl Tries {
    fn new(mut routed: Routed) -> Self {
        let body = std::mem::take(routed.request.body_mut());
        let several = routed
            .route
            .retry
            .as_ref()
            .is_some_and(|policy| policy.attempts > 1);
        Self {
            source: Source::of(&routed.request, body),
            tried: several.then(Tried::default),
            routed,
            number: 0,
        }
    }

    /// The next try, unless there is too little time for one.
    fn next(&mut self) -> Result<Try, ProxyError> {
        self.number += 1;
        if self
            .time_left()
            .is_some_and(|left| left < self.route().times.attempt_min)
        {
            return Err(ProxyError::Deadline);
        }
        Ok(Try {
            request: self.request(),
            scope: self.routed.scope.clone(),
            route: Arc::clone(&self.routed.route),
            deadline: self.routed.deadline,
            number: self.number,
            tried: self.tried.clone(),
        })
    }

    fn request(&mut self) -> Request {
        let body = self.source.body();
        if self.tried.is_none() {
            // The only one: nothing has to be left for another.
            return std::mem::take(&mut self.routed.request).map(|_| body);
        }
        let mut request = Request::new(body);
        request
            .method_mut()
            .clone_from(self.routed.request.method());
        request.uri_mut().clone_from(self.routed.request.uri());
        *request.version_mut() = self.routed.request.version();
        request
            .headers_mut()
            .clone_from(self.routed.request.headers());
        request
    }

    fn judge(&self, result: Result<Response, ProxyError>, shared: &Shared) -> Judgement {
        let Some((policy, cluster)) = self.policy().zip(self.route().cluster.as_ref()) else {
            return Judgement::Final(result);
        };
        let Some(condition) = condition(&result, policy) else {
            return Judgement::Final(result);
        };
        let pause = self.pause(&result, policy, shared);
        let left = cluster
            .budget()
            .left(&cluster.settings().budget, Instant::now());
        match self.may_repeat(policy, pause, cluster) {
            Ok(budget_left) => {
                let delay = pause.unwrap_or_default();
                self.routed.scope.emit(RequestEvent::RetryScheduled {
                    condition,
                    delay,
                    budget_left,
                });
                if let Ok(mut response) = result {
                    discard(&mut response);
                }
                Judgement::Again(delay)
            }
            Err(reason) => {
                self.routed.scope.emit(RequestEvent::RetryRefused {
                    reason,
                    budget_left: left,
                });
                Judgement::Final(if reason == ATTEMPTS_EXHAUSTED {
                    exhausted(result)
                } else {
                    result
                })
            }
        }
    }

    fn policy(&self) -> Option<&RetryPolicy> {
        self.route()
            .retry
            .as_ref()
            .filter(|policy| policy.attempts > 1)
    }

    /// The pause before another attempt; none: the endpoint asks for more time than
    /// a caller has.
    fn pause(
        &self,
        result: &Result<Response, ProxyError>,
        policy: &RetryPolicy,
        shared: &Shared,
    ) -> Option<Duration> {
        let own = backoff::pause(policy, self.number, &shared.random);
        let none = HeaderMap::new();
        let headers = result.as_ref().map_or(&none, Response::headers);
        match backoff::asked(headers) {
            Asked::Nothing => Some(own),
            Asked::Wait(asked) => Some(own.max(asked)),
            Asked::TooLong => None,
        }
    }

    /// Grants another attempt, with the share of the budget left, or says why not.
    /// The budget comes last, because asking it costs.
    fn may_repeat(
        &self,
        policy: &RetryPolicy,
        pause: Option<Duration>,
        cluster: &Cluster,
    ) -> Result<f64, &'static str> {
        if self.number >= policy.attempts {
            return Err(ATTEMPTS_EXHAUSTED);
        }
        self.source.repeatable()?;
        let pause = pause.ok_or("deadline")?;
        let needed = pause + self.route().times.attempt_min;
        if self.time_left().is_some_and(|left| left < needed) {
            return Err("deadline");
        }
        match cluster
            .budget()
            .withdraw(&cluster.settings().budget, Instant::now())
        {
            Withdrawal::Granted(left) => Ok(left),
            Withdrawal::Exhausted => Err("budget_exhausted"),
        }
    }

    fn route(&self) -> &RouteState {
        &self.routed.route
    }

    fn time_left(&self) -> Option<Duration> {
        let deadline = self.routed.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";

impl Source {
    fn of(request: &Request, body: Body) -> Self {
        let hint = http_body::Body::size_hint(&body);
        let keyed = request.headers().contains_key(names::IDEMPOTENCY_KEY);
        if !is_idempotent(request.method()) && !keyed {
            Self::Once(Some(body), "not_idempotent")
        } else if http_body::Body::is_end_stream(&body) {
            Self::Empty
        } else if hint.lower() > REPLAY_CAP as u64 {
            Self::Once(Some(body), "body_too_large")
        } else {
            Self::Kept(Replay::new(body))
        }
    }

    fn body(&mut self) -> Body {
        match self {
            Self::Empty => Body::empty(),
            Self::Kept(replay) => replay.body(),
            Self::Once(body, _) => body.take().unwrap_or_default(),
        }
    }

    fn repeatable(&self) -> Result<(), &'static str> {
        match self {
            Self::Kept(replay) if !replay.is_whole() => Err("body_too_large"),
            Self::Empty | Self::Kept(_) => Ok(()),
            Self::Once(_, reason) => Err(reason),
        }
    }
}

/// The condition of the policy that the outcome meets.
fn condition(result: &Result<Response, ProxyError>, policy: &RetryPolicy) -> Option<&'static str> {
    let (kind, status) = match result {
        Ok(response) => (None, response.status().as_u16()),
        // Cut off by the deadline: an attempt timeout for which there is no time left.
        Err(ProxyError::Deadline) => (Some(RetryOn::AttemptTimeout), 0),
        Err(error) => (Some(error.retry()?), error.status().as_u16()),
    };
    let meets = |condition: RetryOn| match condition {
        RetryOn::FiveXx => {
            kind.is_none_or(|kind| kind == RetryOn::FiveXx) && (500..=599).contains(&status)
        }
        RetryOn::GatewayError => {
            kind.is_none_or(|kind| kind == RetryOn::FiveXx) && (502..=504).contains(&status)
        }
        other => kind == Some(other),
    };
    policy.on.iter().copied().find(|&on| meets(on)).map(name)
}

fn name(condition: RetryOn) -> &'static str {
    match condition {
        RetryOn::FiveXx => "5xx",
        RetryOn::GatewayError => "gateway-error",
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::Reset => "reset",
        RetryOn::RefusedStream => "refused-stream",
        RetryOn::AttemptTimeout => "attempt-timeout",
        RetryOn::Retriable4xx => "retriable-4xx",
        RetryOn::GrpcCancelled => "grpc-cancelled",
        RetryOn::GrpcDeadlineExceeded => "grpc-deadline-exceeded",
        RetryOn::GrpcResourceExhausted => "grpc-resource-exhausted",
        RetryOn::GrpcInternal => "grpc-internal",
        RetryOn::GrpcUnavailable => "grpc-unavailable",
    }
}

/// Marks the last outcome of too many.
fn exhausted(result: Result<Response, ProxyError>) -> Result<Response, ProxyError> {
    match result {
        Ok(mut response) => {
            let flags = Flags::RETRIES_EXHAUSTED;
            response.extensions_mut().insert(Verdict {
                flags,
                reason: None,
            });
            Ok(response)
        }
        Err(last) => Err(ProxyError::RetriesExhausted(Box::new(last))),
    }
}
