//! Where the bodies of the attempts come from.

use http_body::Body as _;

use super::replay::{REPLAY_CAP, Replay};
use crate::{
    body::{Body, Request},
    client::is_idempotent,
    config::RetryPolicy,
    names,
};

const NOT_IDEMPOTENT: &str = "not_idempotent";
const BODY_TOO_LARGE: &str = "body_too_large";

/// See the module.
pub(super) enum Source {
    /// There is no body: any number of attempts.
    Empty,
    /// It is kept: any number, as long as it is not over the cap.
    Kept(Replay),
    /// One attempt, for this reason.
    Once(Option<Body>, &'static str),
}

impl Source {
    pub(super) fn of(request: &Request, body: Body, policy: Option<&RetryPolicy>) -> Self {
        let any_method = policy.is_some_and(|policy| policy.any_method);
        let cap = policy.map_or(REPLAY_CAP as u64, |policy| policy.replay);
        let keyed = || request.headers().contains_key(names::IDEMPOTENCY_KEY);
        if !any_method && !is_idempotent(request.method()) && !keyed() {
            Self::Once(Some(body), NOT_IDEMPOTENT)
        } else if body.is_end_stream() {
            Self::Empty
        } else if body.size_hint().lower() > cap {
            Self::Once(Some(body), BODY_TOO_LARGE)
        } else {
            Self::Kept(Replay::new(
                body,
                usize::try_from(cap).unwrap_or(usize::MAX),
            ))
        }
    }

    /// The body of one attempt.
    pub(super) fn body(&mut self) -> Body {
        match self {
            Self::Empty => Body::empty(),
            Self::Kept(replay) => replay.body(),
            Self::Once(body, _) => body.take().unwrap_or_default(),
        }
    }

    /// Attempts so far read no further: another takes their place.
    pub(super) fn supersede(&self) {
        if let Self::Kept(replay) = self {
            replay.supersede();
        }
    }

    /// There will be no attempt but the one of this number, from 1.
    pub(super) fn settle(&self, number: u32) {
        if let Self::Kept(replay) = self {
            replay.settle(number);
        }
    }

    /// Whether another attempt can follow, or why not.
    pub(super) fn repeatable(&self) -> Result<(), &'static str> {
        match self {
            Self::Kept(replay) if !replay.is_whole() => Err(BODY_TOO_LARGE),
            Self::Empty | Self::Kept(_) => Ok(()),
            Self::Once(_, reason) => Err(reason),
        }
    }

    /// Whether another attempt can read beside those that do, or why not: none of
    /// them may come to a point where the body is not kept any more.
    pub(super) fn shareable(&self) -> Result<(), &'static str> {
        match self {
            Self::Kept(replay) if !replay.will_be_whole() => Err(BODY_TOO_LARGE),
            other => other.repeatable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Source;
    use crate::{
        body::{Body, Request},
        config::RetryPolicy,
    };

    fn verdict(
        method: &Method,
        body: &'static str,
        policy: Option<&RetryPolicy>,
    ) -> Result<(), &'static str> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        Source::of(&request, Body::from(body), policy).repeatable()
    }

    #[test]
    fn what_may_be_repeated_follows_method_policy_and_size() {
        let any = RetryPolicy {
            any_method: true,
            replay: 4,
            ..RetryPolicy::default()
        };
        assert_eq!(verdict(&Method::PUT, "hello", None), Ok(()));
        assert_eq!(verdict(&Method::POST, "", None), Err("not_idempotent"));
        assert_eq!(verdict(&Method::POST, "four", Some(&any)), Ok(()));
        assert_eq!(
            verdict(&Method::POST, "hello", Some(&any)),
            Err("body_too_large")
        );
    }
}
