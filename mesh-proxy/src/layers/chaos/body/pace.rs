//! Bytes a second: pieces of a body one after the other, each not before its time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Throttle;

/// A piece is worth as much time, and whoever comes late may catch up as much: no more
/// than twice of it arrives at once.
const STEP: Duration = Duration::from_millis(50);

/// A link of a given rate. A piece arrives when the link has had the time to carry it,
/// so that what has arrived is never more than the rate allows since the beginning.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    /// When the link is free again; none: it was never used.
    free: Option<Instant>,
}

impl Pace {
    pub(super) fn new(throttle: Throttle) -> Self {
        Self {
            rate: throttle.rate.max(1),
            free: None,
        }
    }

    /// How much of `length` bytes comes next, and when.
    pub(super) fn carry(&mut self, length: usize, now: Instant) -> (usize, Instant) {
        let length = length.min(self.most());
        // A timer that rings late shall not make the link slower: a little is caught up.
        let earliest = now.checked_sub(STEP).unwrap_or(now);
        let begin = self.free.map_or(now, |free| free.max(earliest));
        let arrival = begin + self.time(length);
        self.free = Some(arrival);
        (length, arrival)
    }

    fn most(&self) -> usize {
        let most = u128::from(self.rate) * STEP.as_millis() / 1000;
        usize::try_from(most).unwrap_or(usize::MAX).max(1)
    }

    /// Rounded up: the link is never faster than it says.
    fn time(&self, length: usize) -> Duration {
        let nanos = (length as u128 * 1_000_000_000).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
