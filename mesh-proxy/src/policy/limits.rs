//! Limits of a route: tokens and slots. Both refuse at once; nothing queues.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{DefaultDirectRateLimiter, Quota};

use crate::config::RateLimit;

/// Limits and their state. The state outlives a swap that leaves the limit as it is.
#[derive(Clone)]
pub(crate) struct Limits {
    rate: Option<(RateLimit, Arc<DefaultDirectRateLimiter>)>,
    most: Option<usize>,
    in_flight: Arc<AtomicUsize>,
}

impl Limits {
    pub(crate) fn build(
        rate: Option<&RateLimit>,
        most: Option<usize>,
        before: Option<&Self>,
    ) -> Self {
        let same = |wanted: &RateLimit| {
            before
                .and_then(|before| before.rate.clone())
                .filter(|(rate, _)| rate == wanted)
        };
        Self {
            rate: rate.and_then(|rate| same(rate).or_else(|| bucket(rate))),
            most,
            in_flight: before.map_or_else(Arc::default, |before| Arc::clone(&before.in_flight)),
        }
    }

    /// Takes a token; false: there is none.
    pub(crate) fn take_token(&self) -> bool {
        self.rate
            .as_ref()
            .is_none_or(|(_, bucket)| bucket.check().is_ok())
    }

    /// Takes a slot; none: all are taken.
    pub(crate) fn take_slot(&self) -> Option<Slot> {
        let taken = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(Arc::clone(&self.in_flight));
        self.most.is_none_or(|most| taken < most).then_some(slot)
    }
}

fn bucket(rate: &RateLimit) -> Option<(RateLimit, Arc<DefaultDirectRateLimiter>)> {
    let quota = Quota::per_second(NonZeroU32::new(rate.per_second)?);
    let quota = match rate.burst.and_then(NonZeroU32::new) {
        Some(burst) => quota.allow_burst(burst),
        None => quota,
    };
    Some((
        rate.clone(),
        Arc::new(DefaultDirectRateLimiter::direct(quota)),
    ))
}

/// A request in flight, until it is dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use crate::config::{RateLimit, RateLimitPer};

    #[test]
    fn slots_are_refused_at_once_and_come_back() {
        let limits = Limits::build(None, Some(1), None);
        let slot = limits.take_slot().unwrap();
        assert!(limits.take_slot().is_none());
        drop(slot);
        assert!(limits.take_slot().is_some());
    }

    #[test]
    fn slots_and_tokens_outlive_a_swap() {
        let rate = RateLimit {
            per_second: 1,
            burst: None,
            per: RateLimitPer::Route,
        };
        let before = Limits::build(Some(&rate), Some(1), None);
        let _slot = before.take_slot().unwrap();
        assert!(before.take_token());
        let after = Limits::build(Some(&rate), Some(1), Some(&before));
        assert!(after.take_slot().is_none());
        assert!(!after.take_token());
    }
}
