//! When requests are due: evenly, at a fixed rate, counted from the start.

use std::time::Duration;

use tokio::time::Instant;

/// Arrivals later than this are given up, so that a machine that slept does not
/// wake to a flood; they are counted as not sent.
const MOST_LATE: Duration = Duration::from_secs(1);

/// tokio's timer counts whole milliseconds: waking this late is the generator's
/// own doing and no latency of the shop.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// The sequence of arrivals.
pub(super) struct Schedule {
    start: Instant,
    rps: f64,
    duration: Option<Duration>,
    index: u64,
}

impl Schedule {
    pub(super) fn new(rps: f64, duration: Option<Duration>, start: Instant) -> Self {
        Self {
            start,
            rps,
            duration,
            index: 0,
        }
    }

    /// The next arrival; none when the duration is over.
    pub(super) fn next(&mut self) -> Option<Instant> {
        let after = self.after(self.index);
        if self.duration.is_some_and(|duration| after >= duration) {
            return None;
        }
        self.index += 1;
        Some(self.start + after)
    }

    /// Passes over arrivals that are too late to be made good, and counts them.
    pub(super) fn skip_missed(&mut self, now: Instant) -> u64 {
        let mut missed = 0;
        while self.start + self.after(self.index) + MOST_LATE < now {
            self.index += 1;
            missed += 1;
        }
        missed
    }

    /// From the index, not from the arrival before: rounding does not add up.
    fn after(&self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.rps)
    }
}

/// Latency counts from the moment the request was due. Only a lateness below
/// the timer's grain is forgiven; a generator that cannot keep up shows it.
pub(super) fn start_of_latency(due: Instant, now: Instant) -> Instant {
    if now.saturating_duration_since(due) < TIMER_GRAIN {
        now
    } else {
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_even_and_end_with_the_duration() {
        let start = Instant::now();
        let mut schedule = Schedule::new(4.0, Some(Duration::from_secs(1)), start);
        let mut offsets = Vec::new();
        while let Some(due) = schedule.next() {
            offsets.push((due - start).as_millis());
        }
        assert_eq!(offsets, [0, 250, 500, 750]);
    }

    #[test]
    fn a_generator_that_slept_does_not_flood_the_shop() {
        let start = Instant::now();
        let mut schedule = Schedule::new(10.0, None, start);
        schedule.next();
        let woke = start + Duration::from_mins(1);
        let missed = schedule.skip_missed(woke);
        assert_eq!(missed, 589);
        let due = schedule.next().unwrap();
        assert!(woke - due <= MOST_LATE);
    }

    #[test]
    fn latency_counts_from_when_the_request_was_due() {
        let due = Instant::now();
        let late = due + Duration::from_millis(50);
        assert_eq!(start_of_latency(due, late), due);
        let woken = due + Duration::from_millis(1);
        assert_eq!(start_of_latency(due, woken), woken);
    }
}
