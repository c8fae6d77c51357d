//! Attempts and failures of the last while: a ring of slices, so that old news
//! leaves little by little and a count costs the same at any rate.

use std::time::Duration;

use tokio::time::Instant;

/// Parts of a window: what it remembers is a whole window, give or take one of these.
const SLICES: u8 = 5;

/// Attempts and failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    slices: [Counts; SLICES as usize],
    current: usize,
    /// When the current slice began.
    began: Instant,
}

impl Window {
    /// Nothing has happened yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            slices: [Counts::default(); SLICES as usize],
            current: 0,
            began: now,
        }
    }

    /// Counts one outcome; returns what the last `length` of time holds with it.
    pub(crate) fn count(&mut self, success: bool, length: Duration, now: Instant) -> Counts {
        self.turn(length, now);
        let slice = &mut self.slices[self.current];
        slice.attempts = slice.attempts.saturating_add(1);
        slice.failures = slice.failures.saturating_add(u32::from(!success));
        self.slices
            .iter()
            .fold(Counts::default(), |sum, slice| Counts {
                attempts: sum.attempts.saturating_add(slice.attempts),
                failures: sum.failures.saturating_add(slice.failures),
            })
    }

    fn turn(&mut self, length: Duration, now: Instant) {
        let slice = (length / u32::from(SLICES)).max(Duration::from_millis(1));
        let passed = now.saturating_duration_since(self.began).as_nanos() / slice.as_nanos();
        if passed >= u128::from(SLICES) {
            *self = Self::new(now);
            return;
        }
        for _ in 0..passed {
            self.current = (self.current + 1) % self.slices.len();
            self.slices[self.current] = Counts::default();
            self.began += slice;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Counts, Window};

    const LENGTH: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_is_older_than_the_window_does_not_count() {
        let start = Instant::now();
        let mut window = Window::new(start);
        window.count(false, LENGTH, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let counts = |attempts, failures| Counts { attempts, failures };
        assert_eq!(window.count(true, LENGTH, at(5)), counts(2, 1));
        assert_eq!(window.count(true, LENGTH, at(9)), counts(3, 1));
        assert_eq!(window.count(true, LENGTH, at(11)), counts(3, 0));
        assert_eq!(window.count(true, LENGTH, at(60)), counts(1, 0));
    }
}
