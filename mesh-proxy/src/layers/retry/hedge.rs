//! An attempt beside a slow one: the first usable answer wins, the others are
//! dropped, which closes their streams and blames nobody.

use std::pin::pin;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use mesh_telemetry::proxy::RequestEvent;
use tokio::time::{Instant, sleep};

use super::{condition, tries::Tries};
use crate::{
    body::Response,
    call::Try,
    config::RetryPolicy,
    error::ProxyError,
    layers::{Fallible, attempt_telemetry::discard},
};

type Outcome = Result<Response, ProxyError>;

/// Makes `first`, and others beside it while there is no answer. The outcome is the
/// first usable one, else the last.
pub(super) async fn race<Next: Fallible<Try>>(
    tries: &mut Tries,
    first: Try,
    next: &Next,
) -> Outcome {
    let Some(hedge) = tries.hedge().cloned() else {
        return next.clone().call(first).await; // not asked for: nothing to race against
    };
    let mut running = FuturesUnordered::new();
    running.push(numbered(first, next.clone()));
    let mut timer = pin!(sleep(hedge.after));
    let mut more = true;
    loop {
        more = more && tries.has_tries_left();
        let room = more && running.len() < hedge.attempts as usize;
        tokio::select! {
            biased;
            Some((number, outcome)) = running.next() => {
                if running.is_empty() || usable(tries, &outcome) {
                    tries.scope().emit(RequestEvent::RaceWon { number });
                    tries.answered_by(number, !running.is_empty());
                    return outcome;
                }
                if let Ok(mut answer) = outcome {
                    discard(&mut answer);
                }
            }
            () = timer.as_mut(), if room => {
                let one = start(tries);
                more = one.is_some();
                running.extend(one.map(|one| numbered(one, next.clone())));
                timer.as_mut().reset(Instant::now() + hedge.after);
            }
        }
    }
}

/// One more attempt, unless it is refused, which is written down.
fn start(tries: &mut Tries) -> Option<Try> {
    match tries.beside() {
        Ok((one, budget_left)) => {
            let number = one.number;
            tries.scope().emit(RequestEvent::HedgeStarted {
                number,
                budget_left,
            });
            Some(one)
        }
        Err(reason) => {
            tries.scope().emit(RequestEvent::HedgeRefused { reason });
            None
        }
    }
}

async fn numbered<Next: Fallible<Try>>(one: Try, mut next: Next) -> (u32, Outcome) {
    let number = one.number;
    (number, next.call(one).await)
}

/// An answer that a retry would not be made for.
fn usable(tries: &Tries, outcome: &Outcome) -> bool {
    let default = RetryPolicy::default();
    let policy = tries.retry().unwrap_or(&default);
    outcome.is_ok() && condition::met(outcome, policy).is_none()
}
