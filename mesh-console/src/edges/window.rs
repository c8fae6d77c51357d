//! The last ten ticks: what was counted in each.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::page::Totals;

/// Ticks of a window; a tick is a second.
const TICKS: usize = 10;

/// When the ticks were.
#[derive(Default)]
pub(super) struct Ticks(VecDeque<Instant>);

impl Ticks {
    pub(super) fn push(&mut self, at: Instant) {
        // One more than ticks: a tick counts from the one before it.
        if self.0.len() > TICKS {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    /// Seconds that the window covers.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds_of(TICKS as u64)
    }

    /// Seconds that its last ticks cover.
    pub(super) fn seconds_of(&self, ticks: u64) -> f64 {
        let back = usize::try_from(ticks)
            .unwrap_or(TICKS)
            .min(self.0.len().saturating_sub(1));
        let first = self
            .0
            .len()
            .checked_sub(back + 1)
            .and_then(|at| self.0.get(at));
        match (first, self.0.back()) {
            (Some(first), Some(last)) => last.duration_since(*first).as_secs_f64(),
            _ => 0.0,
        }
    }
}

/// What one edge counted, tick by tick, newest last.
#[derive(Default)]
pub(super) struct Window(VecDeque<Totals>);

impl Window {
    /// Begins a tick.
    pub(super) fn advance(&mut self) {
        if self.0.len() == TICKS {
            self.0.pop_front();
        }
        self.0.push_back(Totals::default());
    }

    /// Counts in this tick.
    pub(super) fn add(&mut self, totals: &Totals) {
        match self.0.back_mut() {
            Some(last) => last.add(totals),
            None => self.0.push_back(totals.clone()),
        }
    }

    pub(super) fn sum(&self) -> Totals {
        self.last(TICKS as u64)
    }

    /// Sum of the last ticks.
    pub(super) fn last(&self, ticks: u64) -> Totals {
        let mut sum = Totals::default();
        let ticks = usize::try_from(ticks).unwrap_or(TICKS);
        for totals in self.0.iter().rev().take(ticks) {
            sum.add(totals);
        }
        sum
    }
}
