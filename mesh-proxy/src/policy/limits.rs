//! Limits of a route: tokens and slots. Both refuse at once; nothing queues.

mod adaptive;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota, clock::Clock as _};
use mesh_telemetry::proxy::{Direction, ProcessEvent, emit};
use tokio::time::Instant;

use crate::{
    config::{AdaptiveLimit, RateLimit, RateLimitPer},
    error::ProxyError,
    random::Random,
};
use adaptive::{Adaptive, Sample};

/// Limits and their state. The state outlives a swap that leaves the limit as it is.
#[derive(Clone)]
pub(crate) struct Limits {
    rate: Option<(RateLimit, Arc<DefaultDirectRateLimiter>)>,
    most: Option<usize>,
    adaptive: Option<Arc<Named>>,
    in_flight: Arc<AtomicUsize>,
}

/// An adaptive limit that can say whose it is.
struct Named {
    adaptive: Adaptive,
    direction: Direction,
    destination: String,
    route: String,
}

/// Whose limits they are, for metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) direction: Direction,
    pub(crate) destination: &'a str,
    pub(crate) route: &'a str,
}

/// What a policy says about limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) rate: Option<&'a RateLimit>,
    pub(crate) most: Option<usize>,
    pub(crate) adaptive: Option<&'a AdaptiveLimit>,
}

impl Limits {
    /// State of `before` lives on where it is still meant.
    pub(crate) fn build(wanted: Wanted<'_>, whose: Whose<'_>, before: Option<&Self>) -> Self {
        Self {
            rate: wanted.rate.and_then(|rate| bucket(rate, before)),
            most: wanted.most,
            adaptive: adaptive(wanted.adaptive, whose, before),
            in_flight: before.map_or_else(Arc::default, |before| Arc::clone(&before.in_flight)),
        }
    }

    /// The same slots, and, where each caller has a bucket of its own, this caller's.
    pub(crate) fn of_caller(&self, before: Option<&Self>) -> Self {
        let own = |(rate, _): &(RateLimit, _)| rate.per == RateLimitPer::Caller;
        match self.rate.as_ref().filter(|rate| own(rate)) {
            Some((rate, _)) => Self {
                rate: bucket(rate, before),
                ..self.clone()
            },
            None => self.clone(),
        }
    }

    /// Takes a token.
    pub(crate) fn take_token(&self) -> Result<(), ProxyError> {
        let Some((_, bucket)) = &self.rate else {
            return Ok(());
        };
        bucket.check().map_err(|until| ProxyError::RateLimited {
            wait: until.wait_time_from(bucket.clock().now()),
        })
    }

    /// Takes a slot.
    pub(crate) fn take_slot(&self) -> Result<Slot, ProxyError> {
        let taken = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(Arc::clone(&self.in_flight));
        if self.most.is_some_and(|most| taken >= most) {
            return Err(ProxyError::Overload);
        }
        match &self.adaptive {
            Some(named) if taken >= named.adaptive.limit() => Err(ProxyError::AdaptiveLimit),
            _ => Ok(slot),
        }
    }

    /// When a request begins whose latency counts; none: nobody asks for it.
    pub(crate) fn stopwatch(&self) -> Option<Instant> {
        self.adaptive.as_ref().map(|_| Instant::now())
    }

    /// Tells the adaptive limit that a request which began then has its answer.
    pub(crate) fn observe(&self, began: Instant) {
        let Some(named) = &self.adaptive else {
            return;
        };
        let changed = named.adaptive.observe(Sample {
            began,
            ended: Instant::now(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        });
        if changed.is_some() {
            named.report(changed);
        }
    }
}

impl Named {
    fn is(&self, whose: Whose<'_>) -> bool {
        self.direction == whose.direction
            && self.destination == whose.destination
            && self.route == whose.route
    }

    fn report(&self, limit: Option<usize>) {
        emit(&ProcessEvent::ConcurrencyLimit {
            direction: self.direction,
            destination: &self.destination,
            route: &self.route,
            limit,
        });
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.report(None);
    }
}

fn adaptive(
    settings: Option<&AdaptiveLimit>,
    whose: Whose<'_>,
    before: Option<&Limits>,
) -> Option<Arc<Named>> {
    let settings = settings?;
    let old = before.and_then(|before| before.adaptive.clone());
    let named = match old.filter(|old| old.is(whose)) {
        Some(old) => {
            old.adaptive.retune(settings);
            old
        }
        None => Arc::new(Named {
            adaptive: Adaptive::new(settings, Random::from_system(), Instant::now()),
            direction: whose.direction,
            destination: whose.destination.to_owned(),
            route: whose.route.to_owned(),
        }),
    };
    named.report(Some(named.adaptive.limit()));
    Some(named)
}

fn bucket(
    wanted: &RateLimit,
    before: Option<&Limits>,
) -> Option<(RateLimit, Arc<DefaultDirectRateLimiter>)> {
    let same = before
        .and_then(|before| before.rate.clone())
        .filter(|(rate, _)| rate == wanted);
    same.or_else(|| {
        let quota = Quota::per_second(NonZeroU32::new(wanted.per_second)?);
        let quota = match wanted.burst.and_then(NonZeroU32::new) {
            Some(burst) => quota.allow_burst(burst),
            None => quota,
        };
        let bucket = DefaultDirectRateLimiter::direct(quota);
        Some((wanted.clone(), Arc::new(bucket)))
    })
}

/// When a request that a cap of requests in flight refused may be sent again. It is
/// over in milliseconds, mostly; `Retry-After` knows whole seconds only.
pub(crate) const ROOM_AFTER: Duration = Duration::from_secs(1);

/// A request in flight, until it is dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_telemetry::proxy::Direction;

    use super::{Limits, Wanted, Whose};
    use crate::{
        config::{AdaptiveLimit, RateLimit, RateLimitPer},
        error::ProxyError,
    };

    const PAYMENTS: Whose<'_> = Whose {
        direction: Direction::Inbound,
        destination: "payments",
        route: "inbound",
    };

    fn one_a_second(per: RateLimitPer) -> RateLimit {
        RateLimit {
            per_second: 1,
            burst: None,
            per,
        }
    }

    #[test]
    fn slots_are_refused_at_once_and_come_back() {
        let one = Wanted {
            most: Some(1),
            ..Wanted::default()
        };
        let limits = Limits::build(one, PAYMENTS, None);
        let slot = limits.take_slot().ok().unwrap();
        assert!(matches!(limits.take_slot(), Err(ProxyError::Overload)));
        drop(slot);
        assert!(limits.take_slot().is_ok());
    }

    #[test]
    fn slots_and_tokens_outlive_a_swap() {
        let rate = one_a_second(RateLimitPer::Route);
        let wanted = Wanted {
            rate: Some(&rate),
            most: Some(1),
            adaptive: None,
        };
        let before = Limits::build(wanted, PAYMENTS, None);
        let _slot = before.take_slot().ok().unwrap();
        assert!(before.take_token().is_ok());
        let after = Limits::build(wanted, PAYMENTS, Some(&before));
        assert!(after.take_slot().is_err());
        assert!(after.take_token().is_err());
    }

    #[test]
    fn an_empty_bucket_says_when_it_has_a_token_again() {
        let rate = one_a_second(RateLimitPer::Route);
        let wanted = Wanted {
            rate: Some(&rate),
            ..Wanted::default()
        };
        let limits = Limits::build(wanted, PAYMENTS, None);
        limits.take_token().unwrap();
        let error = limits.take_token().unwrap_err();
        let wait = error.retry_after().unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
    }

    #[test]
    fn callers_empty_no_buckets_but_their_own() {
        for (per, other_is_free) in [(RateLimitPer::Caller, true), (RateLimitPer::Route, false)] {
            let rate = one_a_second(per);
            let wanted = Wanted {
                rate: Some(&rate),
                ..Wanted::default()
            };
            let shared = Limits::build(wanted, PAYMENTS, None);
            let (one, other) = (shared.of_caller(None), shared.of_caller(None));
            one.take_token().unwrap();
            assert_eq!(other.take_token().is_ok(), other_is_free, "{per:?}");
            let after = shared.of_caller(Some(&one));
            assert!(after.take_token().is_err(), "a swap fills no bucket");
        }
    }

    #[test]
    fn an_adaptive_limit_is_a_cap_and_outlives_a_swap() {
        let adaptive = AdaptiveLimit {
            min: 1,
            max: 1,
            tolerance: 2.0,
        };
        let wanted = Wanted {
            adaptive: Some(&adaptive),
            ..Wanted::default()
        };
        let before = Limits::build(wanted, PAYMENTS, None);
        let _slot = before.take_slot().ok().unwrap();
        let after = Limits::build(wanted, PAYMENTS, Some(&before));
        assert!(matches!(after.take_slot(), Err(ProxyError::AdaptiveLimit)));
    }
}
