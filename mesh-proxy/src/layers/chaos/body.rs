//! Faults that work on the body of an answer: pauses, a slow link, changed bytes, an end
//! too early. Frames are taken from below only when the reader has had the one before,
//! so that back-pressure is what it was. Trailers pass; so does a rule that ends: what
//! is still to come then comes as it is, at once.

mod corrupt;
mod pace;
#[cfg(test)]
mod tests;
mod tools;
mod worked;

use std::sync::Arc;

use http::StatusCode;
use http_body::Body as _;

use super::{chance::Chance, receipt::Affected, rule::Armed, victim::Mark};
use crate::{
    body::{Body, Response},
    config::{Delay, Throttle, Truncate},
};

/// What one rule does to the body of one answer.
pub(crate) struct Works {
    /// A pause before each frame.
    pub(crate) chunk_delay: Option<Work<(Delay, Chance)>>,
    /// Bytes a second.
    pub(crate) throttle: Option<Work<Throttle>>,
    /// One byte is changed in each stretch of so many.
    pub(crate) corrupt: Option<Work<(u64, Chance)>>,
    /// Where the body breaks off.
    pub(crate) truncate: Option<Work<Truncate>>,
    /// Whose works they are; they end with it.
    pub(crate) rule: Arc<Armed>,
    /// Kept as long as they last.
    pub(crate) kept: Affected,
}

/// One work, and the note of it.
pub(crate) struct Work<T> {
    /// What to do.
    pub(crate) what: T,
    /// Is told what it became.
    pub(crate) held: Mark,
}

/// Hands the body of an answer to a rule. One that is empty, or is no body but another
/// protocol from now on, stays as it is.
pub(crate) fn afflict(response: Response, works: Works) -> Response {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches || response.body().is_end_stream() || works.is_nothing() {
        return response;
    }
    response.map(|body| Body::new(worked::Worked::new(body, works)))
}

impl<T> Work<T> {
    fn map<U>(self, make: impl FnOnce(T) -> U) -> Work<U> {
        Work {
            what: make(self.what),
            held: self.held,
        }
    }
}

impl Works {
    fn is_nothing(&self) -> bool {
        self.chunk_delay.is_none()
            && self.throttle.is_none()
            && self.corrupt.is_none()
            && self.truncate.is_none()
    }
}
