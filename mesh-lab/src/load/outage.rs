//! Notices when the shop stops answering, and when it answers again.

use tokio::time::Instant;

/// Failures in a row before the shop is called down: one broken connection is none.
const THRESHOLD: u32 = 3;

/// Answers that never came, counted in a row.
#[derive(Default)]
pub(super) struct Outage {
    failures: u32,
    since: Option<Instant>,
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Down,
    Up { seconds: u64 },
}

impl Outage {
    pub(super) fn answered(&mut self, now: Instant) -> Option<Change> {
        let down = self.failures >= THRESHOLD;
        self.failures = 0;
        let since = self.since.take()?;
        let seconds = now.saturating_duration_since(since).as_secs();
        down.then_some(Change::Up { seconds })
    }

    pub(super) fn failed(&mut self, now: Instant) -> Option<Change> {
        self.since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        (self.failures == THRESHOLD).then_some(Change::Down)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_outage_is_said_once_and_its_end_once() {
        let start = Instant::now();
        let mut outage = Outage::default();
        let said: Vec<_> = (0..5).filter_map(|_| outage.failed(start)).collect();
        assert_eq!(said, [Change::Down]);
        let later = start + Duration::from_secs(7);
        assert_eq!(outage.answered(later), Some(Change::Up { seconds: 7 }));
        assert_eq!(outage.answered(later), None);
    }

    #[test]
    fn one_broken_connection_is_no_outage() {
        let mut outage = Outage::default();
        assert_eq!(outage.failed(Instant::now()), None);
        assert_eq!(outage.answered(Instant::now()), None);
    }
}
