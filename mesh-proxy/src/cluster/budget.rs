//! Retry budget of a cluster: over a sliding window, retries may be at most a
//! share of the requests plus a floor. Without it, retries multiply an overload.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::Budget as Settings;

/// Seconds that the window covers, in slots of one second; Finagle's and tower's figure.
const WINDOW: usize = 10;

/// Counts of the last seconds.
#[derive(Debug)]
pub(crate) struct Budget {
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    second: u64,
    slots: [Slot; WINDOW],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    retries: u32,
}

/// Whether a retry may be made, and the share of the budget that is left then, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Withdrawal {
    /// It may, and is counted.
    Granted(f64),
    /// It may not: the window's share is used up.
    Exhausted,
}

impl Budget {
    /// An untouched budget.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        let window = Window {
            began: now,
            second: 0,
            slots: [Slot::default(); WINDOW],
        };
        Self {
            window: Mutex::new(window),
        }
    }

    /// Counts a request, which earns its share of a retry.
    pub(crate) fn deposit(&self, now: Instant) {
        self.with(now, |window| window.slot().requests += 1);
    }

    /// Asks for a retry.
    pub(crate) fn withdraw(&self, settings: &Settings, now: Instant) -> Withdrawal {
        self.with(now, |window| {
            if window.left(settings) < 1.0 {
                return Withdrawal::Exhausted;
            }
            window.slot().retries += 1;
            Withdrawal::Granted(window.left_ratio(settings))
        })
    }

    /// Share of the budget that is left, 0 to 1.
    pub(crate) fn left(&self, settings: &Settings, now: Instant) -> f64 {
        self.with(now, |window| window.left_ratio(settings))
    }

    fn with<T>(&self, now: Instant, then: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.advance(now);
        then(&mut window)
    }
}

impl Window {
    fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let passed = second.saturating_sub(self.second).min(WINDOW as u64);
        for step in 1..=passed {
            let at = Self::index(self.second + step);
            self.slots[at] = Slot::default();
        }
        // After a long silence the loop above has cleared all slots, wherever they are.
        self.second = self.second.max(second);
    }

    fn index(second: u64) -> usize {
        usize::try_from(second % WINDOW as u64).unwrap_or(0)
    }

    fn slot(&mut self) -> &mut Slot {
        &mut self.slots[Self::index(self.second)]
    }

    fn allowed(&self, settings: &Settings) -> f64 {
        let requests: u32 = self.slots.iter().map(|slot| slot.requests).sum();
        let window = Duration::from_secs(WINDOW as u64).as_secs_f64();
        f64::from(requests) * settings.share + settings.floor * window
    }

    fn left(&self, settings: &Settings) -> f64 {
        let retries: u32 = self.slots.iter().map(|slot| slot.retries).sum();
        self.allowed(settings) - f64::from(retries)
    }

    fn left_ratio(&self, settings: &Settings) -> f64 {
        let allowed = self.allowed(settings);
        if allowed > 0.0 {
            (self.left(settings) / allowed).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Budget, Withdrawal};
    use crate::config::Budget as Settings;

    fn granted(budget: &Budget, settings: &Settings, now: Instant, tries: u32) -> usize {
        (0..tries)
            .filter(|_| matches!(budget.withdraw(settings, now), Withdrawal::Granted(_)))
            .count()
    }

    #[tokio::test]
    async fn retries_are_a_share_of_requests() {
        let (now, settings) = (
            Instant::now(),
            Settings {
                share: 0.2,
                floor: 0.0,
            },
        );
        let budget = Budget::new(now);
        (0..100).for_each(|_| budget.deposit(now));
        assert_eq!(granted(&budget, &settings, now, 50), 20);
        assert_eq!(budget.withdraw(&settings, now), Withdrawal::Exhausted);
    }

    #[tokio::test]
    async fn the_floor_is_granted_without_any_requests() {
        let (now, settings) = (
            Instant::now(),
            Settings {
                share: 0.0,
                floor: 1.0,
            },
        );
        assert_eq!(granted(&Budget::new(now), &settings, now, 50), 10);
    }

    #[tokio::test]
    async fn what_is_older_than_the_window_is_forgotten() {
        let (start, settings) = (
            Instant::now(),
            Settings {
                share: 1.0,
                floor: 0.0,
            },
        );
        let budget = Budget::new(start);
        (0..5).for_each(|_| budget.deposit(start));
        assert_eq!(
            granted(&budget, &settings, start + Duration::from_secs(9), 9),
            5
        );
        let later = start + Duration::from_secs(10);
        assert_eq!(
            granted(&budget, &settings, later, 9),
            0,
            "the deposits are gone"
        );
        let much_later = start + Duration::from_hours(1);
        budget.deposit(much_later);
        assert_eq!(
            granted(&budget, &settings, much_later, 9),
            1,
            "and so are the retries"
        );
    }

    #[tokio::test]
    async fn the_share_left_falls_to_nothing() {
        let (now, settings) = (
            Instant::now(),
            Settings {
                share: 0.0,
                floor: 0.4,
            },
        );
        let budget = Budget::new(now);
        assert_eq!(budget.withdraw(&settings, now), Withdrawal::Granted(0.75));
        granted(&budget, &settings, now, 3);
        assert!(budget.left(&settings, now) < f64::EPSILON);
    }
}
