//! Further attempts, where they are allowed, affordable and likely to help.
//!
//! - allowed: the outcome is one of the route's conditions, and the request is
//!   idempotent, carries an `Idempotency-Key`, or the route repeats every method;
//! - affordable: the cluster's budget grants it, and the body can be sent again;
//! - likely to help: there is time for it before the deadline.
//!
//! A retry follows an attempt that failed; a hedge runs beside one that is slow.

mod backoff;
mod condition;
mod hedge;
mod replay;
mod source;
mod tries;

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use mesh_telemetry::proxy::{Flags, RequestEvent};
use tokio::time::{Instant, sleep};

use super::{Around, Fallible, attempt_telemetry::discard, request_telemetry::Verdict};
use crate::{
    body::Response,
    call::{Routed, Try},
    config::RetryPolicy,
    error::ProxyError,
    names,
    shared::Shared,
};
use backoff::Asked;
pub(crate) use condition::names as condition_names;
pub(crate) use replay::REPLAY_CAP;
use tries::{ATTEMPTS_EXHAUSTED, Tries};

/// The layer.
pub(crate) struct Retry(Arc<Shared>);

impl Retry {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl<Next: Fallible<Try>> Around<Routed, Next> for Retry {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        if let Some(cluster) = &routed.route.cluster {
            cluster.budget().deposit(Instant::now());
        }
        let mut tries = Tries::new(routed);
        loop {
            let one = tries.next()?;
            let result = if tries.hedge().is_some() {
                hedge::race(&mut tries, one, &next).await
            } else {
                next.call(one).await
            };
            match judge(&tries, result, &self.0) {
                Judgement::Final(result) => {
                    tries.settle();
                    return result;
                }
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

fn judge(tries: &Tries, result: Result<Response, ProxyError>, shared: &Shared) -> Judgement {
    let Some(policy) = tries.retry() else {
        return Judgement::Final(result);
    };
    let Some(condition) = condition::met(&result, policy) else {
        return Judgement::Final(result);
    };
    let pause = pause(tries, &result, policy, shared);
    let left = tries.budget_left();
    match tries.may_repeat(policy, pause) {
        Ok(budget_left) => {
            let delay = pause.unwrap_or_default();
            tries.scope().emit(RequestEvent::RetryScheduled {
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
            tries.scope().emit(RequestEvent::RetryRefused {
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

/// The pause before another attempt; none: the endpoint asks for more time than a
/// caller has.
fn pause(
    tries: &Tries,
    result: &Result<Response, ProxyError>,
    policy: &RetryPolicy,
    shared: &Shared,
) -> Option<Duration> {
    let own = backoff::pause(policy, tries.number(), &shared.random);
    let none = HeaderMap::new();
    let headers = result.as_ref().map_or(&none, Response::headers);
    // A sidecar that sheds speaks for its own instance: another one need not wait.
    let elsewhere = headers.contains_key(names::REASON) && tries.has_untried_endpoint();
    match backoff::asked(headers) {
        Asked::Nothing => Some(own),
        _ if elsewhere => Some(own),
        Asked::Wait(asked) => Some(own.max(asked)),
        Asked::TooLong => None,
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
