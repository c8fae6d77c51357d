//! A cap of requests in flight that finds its own size.
//!
//! The rule is the gradient of Netflix's concurrency-limits and of Envoy's adaptive
//! concurrency filter, once a window of [`WINDOW`]:
//!
//! ```text
//! gradient = tolerance × shortest latency ÷ median latency of the window, within 0.5 to 1
//! limit    = gradient × limit + √limit, within min to max
//! ```
//!
//! While requests take no longer than the tolerance allows, the gradient is 1 and the
//! limit grows by the square root, which is room for a short queue; when a queue builds
//! up in the application, latency grows and the limit shrinks in proportion. A limit
//! that is not made use of does not grow.
//!
//! What is the shortest latency? The lowest median of a window, until requests have
//! taken longer for [`DOUBT`]: then nobody knows whether the application has changed or
//! queues. It is measured anew at the smallest limit, as Envoy does it; a busy sidecar
//! sheds for the time of [`MEASURED`] requests. Where latency is as it was, nothing has
//! to be measured.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{config::AdaptiveLimit, random::Random};

/// Shortest time between two changes of the limit: Envoy's default.
const WINDOW: Duration = Duration::from_millis(100);

/// Fewest requests that say something about a window; it lasts until they are there.
const FEWEST: usize = 10;

/// Most requests of a window that are looked at.
const MOST: usize = 256;

/// Limit at first: Netflix's.
const FIRST: usize = 20;

/// How long requests may take longer than the shortest latency before that is measured
/// anew, with a tenth of jitter; half of Envoy's interval.
const DOUBT: Duration = Duration::from_secs(30);

/// Latency up to so many times the shortest confirms it.
const CONFIRMED: f64 = 1.2;

/// Requests whose median is the shortest latency. Half of Envoy's number.
const MEASURED: usize = 25;

/// Longest time for a measurement; then what was seen must do.
const LONGEST: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Adaptive {
    limit: AtomicUsize,
    state: Mutex<State>,
    random: Random,
}

/// One request that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Requests in flight when it ended, itself included.
    pub(crate) in_flight: usize,
}

#[derive(Debug)]
struct State {
    settings: AdaptiveLimit,
    limit: f64,
    /// Latencies of this window, or of this measurement.
    latencies: Vec<Duration>,
    /// Most requests in flight in this window.
    peak: usize,
    until: Instant,
    shortest: Option<Duration>,
    /// When the shortest latency is doubted, unless it is confirmed.
    doubted: Instant,
    /// When the measurement began that is under way.
    measuring: Option<Instant>,
}

impl Adaptive {
    pub(super) fn new(settings: &AdaptiveLimit, random: Random, now: Instant) -> Self {
        let limit = FIRST.clamp(settings.min, settings.max);
        Self {
            limit: AtomicUsize::new(limit),
            state: Mutex::new(State {
                settings: settings.clone(),
                limit: limit as f64,
                latencies: Vec::new(),
                peak: 0,
                until: now + WINDOW,
                shortest: None,
                doubted: now + DOUBT,
                measuring: None,
            }),
            random,
        }
    }

    /// Goes on under other settings.
    pub(super) fn retune(&self, settings: &AdaptiveLimit) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settings = settings.clone();
        state.limit = state.bounded(state.limit);
        self.limit.store(state.in_force(), Ordering::Relaxed);
    }

    /// Requests that may be in flight now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes a latency into account. Returns the limit when this changed it.
    pub(crate) fn observe(&self, sample: Sample) -> Option<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.observe(sample, || DOUBT.mul_f64(0.9 + 0.2 * self.random.unit()));
        let limit = state.in_force();
        let before = self.limit.swap(limit, Ordering::Relaxed);
        (before != limit).then_some(limit)
    }
}

impl State {
    fn observe(&mut self, sample: Sample, doubt: impl FnOnce() -> Duration) {
        let now = sample.ended;
        if self.measuring.is_some_and(|since| sample.began < since) {
            return; // let in under the limit before
        }
        if self.latencies.len() < MOST {
            self.latencies.push(now - sample.began);
        }
        self.peak = self.peak.max(sample.in_flight);
        match self.measuring {
            Some(since) if self.latencies.len() >= MEASURED || now - since >= LONGEST => {
                self.measuring = None;
                self.shortest = self.median();
                self.doubted = now + doubt();
                self.next_window(now);
            }
            None if now >= self.until && self.latencies.len() >= FEWEST => {
                self.adapt(now, doubt);
                self.next_window(now);
            }
            _ => {}
        }
    }

    fn adapt(&mut self, now: Instant, doubt: impl FnOnce() -> Duration) {
        let Some(latency) = self.median() else { return };
        let at_rest = self.peak <= self.settings.min; // no queue to speak of
        let shortest = match self.shortest {
            Some(shortest) if !at_rest => shortest.min(latency),
            _ => latency,
        };
        self.shortest = Some(shortest);
        let ratio = latency.as_secs_f64() / shortest.as_secs_f64().max(1e-6);
        if ratio <= CONFIRMED {
            self.doubted = now + doubt();
        } else if now >= self.doubted {
            self.measuring = Some(now);
        }
        let gradient = (self.settings.tolerance / ratio).clamp(0.5, 1.0);
        let wanted = gradient * self.limit + self.limit.sqrt();
        let used = self.peak as f64 * 2.0 >= self.limit;
        if used || wanted < self.limit {
            self.limit = self.bounded(wanted);
        }
    }

    fn next_window(&mut self, now: Instant) {
        self.latencies.clear();
        self.peak = 0;
        self.until = now + WINDOW;
    }

    fn median(&mut self) -> Option<Duration> {
        let middle = self.latencies.len() / 2;
        let latencies = &mut self.latencies;
        (!latencies.is_empty()).then(|| *latencies.select_nth_unstable(middle).1)
    }

    fn bounded(&self, limit: f64) -> f64 {
        limit.clamp(self.settings.min as f64, self.settings.max as f64)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between `min` and `max`, which are counts; a part of a request is none"
    )]
    fn in_force(&self) -> usize {
        match self.measuring {
            Some(_) => self.settings.min,
            None => self.limit as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Adaptive, DOUBT, Sample};
    use crate::{config::AdaptiveLimit, random::Random};

    const BASE: Duration = Duration::from_millis(10);

    /// An application with so many workers, asked by as many callers as are let in.
    struct Load {
        adaptive: Adaptive,
        now: Instant,
    }

    impl Load {
        fn new(min: usize, max: usize) -> Self {
            let now = Instant::now();
            let settings = AdaptiveLimit {
                min,
                max,
                tolerance: 2.0,
            };
            Self {
                adaptive: Adaptive::new(&settings, Random::seeded(1), now),
                now,
            }
        }

        /// `callers` at once, for this long; each request waits its turn at the workers.
        fn run(&mut self, callers: usize, workers: usize, base: Duration, time: Duration) -> usize {
            let end = self.now + time;
            while self.now < end {
                let in_flight = callers.min(self.adaptive.limit());
                let latency = base.mul_f64((in_flight as f64 / workers as f64).max(1.0));
                let began = self.now;
                self.now += latency;
                for _ in 0..in_flight {
                    self.adaptive.observe(Sample {
                        began,
                        ended: self.now,
                        in_flight,
                    });
                }
            }
            self.adaptive.limit()
        }
    }

    #[tokio::test]
    async fn the_limit_grows_while_latency_does_not() {
        let mut load = Load::new(4, 200);
        assert_eq!(load.run(500, 1000, BASE, Duration::from_secs(10)), 200);
    }

    #[tokio::test]
    async fn it_settles_where_the_queue_begins() {
        let mut load = Load::new(4, 1000);
        load.run(3, 40, BASE, Duration::from_secs(2));
        let limit = load.run(1000, 40, BASE, Duration::from_secs(20));
        // 40 workers, twice the latency allowed, and room for the square root.
        assert!((60..=140).contains(&limit), "{limit}");
    }

    #[tokio::test]
    async fn it_shrinks_when_the_application_slows_down_and_comes_back() {
        let mut load = Load::new(4, 1000);
        load.run(3, 100, BASE, Duration::from_secs(2));
        let before = load.run(1000, 100, BASE, Duration::from_secs(20));
        let slow = load.run(1000, 10, BASE, Duration::from_secs(10));
        assert!(slow < before / 3, "{before} → {slow}");
        let after = load.run(1000, 100, BASE, Duration::from_secs(30));
        assert!(after > before / 2, "{before} → {after}");
    }

    #[tokio::test]
    async fn a_limit_that_is_not_used_does_not_grow() {
        let mut load = Load::new(4, 1000);
        assert_eq!(load.run(5, 100, BASE, Duration::from_secs(10)), 20);
    }

    #[tokio::test]
    async fn an_application_that_is_slower_for_good_is_measured_anew() {
        let mut load = Load::new(4, 1000);
        load.run(100, 1000, BASE, Duration::from_secs(5));
        let slower = BASE.mul_f64(2.5); // more than is tolerated, less than drains all
        let shrunk = load.run(100, 1000, slower, DOUBT / 2);
        let after = load.run(100, 1000, slower, DOUBT * 2);
        assert!(shrunk < 40 && after >= 100, "{shrunk} → {after}");
    }

    #[tokio::test]
    async fn other_settings_hold_at_once() {
        let load = Load::new(4, 1000);
        load.adaptive.retune(&AdaptiveLimit {
            min: 1,
            max: 8,
            tolerance: 2.0,
        });
        assert_eq!(load.adaptive.limit(), 8);
    }
}
