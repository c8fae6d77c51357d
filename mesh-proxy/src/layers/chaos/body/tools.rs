//! What a rule does to a body, and when the next piece may go.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Work, Works, corrupt::Corrupt, pace::Pace};
use crate::{
    body::BodyError,
    config::Delay,
    error::{Blow, Fault, ProxyError},
    layers::chaos::{
        chance::{Chance, sample},
        receipt::Affected,
        rule::Armed,
        victim::Mark,
    },
};

/// Between the last byte and the break: servers drop what they have not written when a
/// body ends in an error, and what came before the break shall arrive.
const BREATH: Duration = Duration::from_millis(20);

/// What happens next to what is held.
pub(super) enum Next {
    /// So many bytes of it go on.
    Piece(usize),
    /// None of it: the body breaks off.
    Break,
}

/// The works of one rule on one body.
pub(super) struct Tools {
    pause: Option<Work<(Delay, Chance)>>,
    pace: Option<Work<Pace>>,
    corrupt: Option<Work<Corrupt>>,
    cut: Option<Work<u64>>,
    /// Bytes that went by.
    passed: u64,
    /// A frame has come, and no pause was made for it yet.
    fresh: bool,
    wait: Option<Wait>,
    timer: Option<Pin<Box<Sleep>>>,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    rule: Arc<Armed>,
    _kept: Affected,
}

struct Wait {
    before: Before,
    since: Instant,
    until: Instant,
}

#[derive(Clone, Copy)]
enum Before {
    /// A frame.
    Frame,
    /// A piece of it, so long.
    Piece(usize),
    Break,
}

impl Tools {
    /// For a body of this length, if it is known.
    pub(super) fn new(works: Works, length: Option<u64>) -> Self {
        let cut = works.truncate.map(|work| work.map(|cut| cut.after));
        let sure = match (length, &cut) {
            (Some(length), Some(cut)) => length.min(cut.what),
            (length, _) => length.unwrap_or(1),
        };
        let corrupt = |(stretch, chance)| Corrupt::new(stretch, chance, sure);
        let rule = Arc::clone(&works.rule);
        Self {
            pause: works.chunk_delay,
            pace: works.throttle.map(|work| work.map(Pace::new)),
            corrupt: works.corrupt.map(|work| work.map(corrupt)),
            cut,
            passed: 0,
            fresh: false,
            wait: None,
            timer: None,
            over: Box::pin(async move { rule.over().await }),
            rule: works.rule,
            _kept: works.kept,
        }
    }

    /// Whether the rule has ended; if not, the reader is woken when it does.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.over.as_mut().poll(cx).is_ready()
    }

    /// All has gone by that may.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.what <= self.passed)
    }

    /// A frame has come.
    pub(super) fn begin(&mut self) {
        self.fresh = true;
    }

    /// What happens next to `length` bytes, as soon as it may.
    pub(super) fn poll(&mut self, length: usize, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let Some(wait) = &self.wait else {
                self.wait = Some(self.plan(length));
                continue;
            };
            ready!(poll_until(&mut self.timer, wait.until, cx));
            match self.waited() {
                Some(Before::Piece(length)) => return Poll::Ready(Next::Piece(length)),
                Some(Before::Break) => return Poll::Ready(Next::Break),
                Some(Before::Frame) | None => {}
            }
        }
    }

    fn plan(&mut self, length: usize) -> Wait {
        let now = Instant::now();
        let fresh = std::mem::take(&mut self.fresh);
        let (before, until) = match &mut self.pause {
            _ if self.cut.as_ref().is_some_and(|cut| cut.what <= self.passed) => {
                (Before::Break, now + BREATH)
            }
            Some(Work {
                what: (delay, chance),
                ..
            }) if fresh => (Before::Frame, now + sample(delay, chance)),
            _ => {
                let (length, until) = self.piece(length, now);
                (Before::Piece(length), until)
            }
        };
        if until > now
            && let Some(held) = self.waiting(before)
        {
            held.waits();
        }
        Wait {
            before,
            since: now,
            until,
        }
    }

    /// The note of the work that is the reason for a wait.
    fn waiting(&mut self, before: Before) -> Option<&mut Mark> {
        match before {
            Before::Frame => self.pause.as_mut().map(|work| &mut work.held),
            Before::Piece(_) => self.pace.as_mut().map(|work| &mut work.held),
            Before::Break => None,
        }
    }

    fn piece(&mut self, length: usize, now: Instant) -> (usize, Instant) {
        let left = self.cut.as_ref().map(|cut| cut.what - self.passed);
        let left = left.and_then(|left| usize::try_from(left).ok());
        let length = length.min(left.unwrap_or(usize::MAX));
        match &mut self.pace {
            Some(pace) => pace.what.carry(length, now),
            None => (length, now),
        }
    }

    /// Ends a wait, and writes down how long it was.
    fn waited(&mut self) -> Option<Before> {
        let wait = self.wait.take()?;
        if let Some(held) = self.waiting(wait.before) {
            held.waited(wait.since.elapsed());
        }
        Some(wait.before)
    }

    /// A piece whose time has come, as it arrives.
    pub(super) fn work_on(&mut self, piece: Bytes) -> Bytes {
        self.passed += piece.len() as u64;
        let Some(corrupt) = &mut self.corrupt else {
            return piece;
        };
        let (piece, changed) = corrupt.what.pass(piece);
        if changed > 0 {
            corrupt.held.changed(changed);
        }
        piece
    }

    /// The error in which the body ends.
    pub(super) fn break_off(mut self) -> BodyError {
        let fault = Fault {
            rule: Arc::clone(self.rule.id()),
            blow: Blow::Truncate,
        };
        if let Some(cut) = &mut self.cut {
            cut.held.broke_off(self.passed, &fault);
        }
        BodyError::new(ProxyError::Fault(fault))
    }
}

/// Whoever goes away while a body is kept back has waited, too.
impl Drop for Tools {
    fn drop(&mut self) {
        self.waited();
    }
}

/// The timer is made only when there is something to wait for.
fn poll_until(
    timer: &mut Option<Pin<Box<Sleep>>>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if until <= Instant::now() {
        return Poll::Ready(());
    }
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
    if timer.deadline() != until {
        timer.as_mut().reset(until);
    }
    timer.as_mut().poll(cx)
}
