//! Load of an endpoint: peak-sensitive moving average of its latency times the
//! attempts in flight there (Finagle's peak EWMA). One slow answer counts at
//! once, good ones earn trust back slowly.

use std::time::Duration;

use tokio::time::Instant;

/// Time in which the weight of an observation falls to 1/e; Finagle's and Linkerd's figure.
const DECAY: Duration = Duration::from_secs(10);

/// Latency assumed before the first answer, seconds: Linkerd's default.
const ASSUMED: f64 = 0.03;

/// The moving average.
#[derive(Debug)]
pub(crate) struct PeakEwma {
    seconds: f64,
    at: Instant,
    /// There was an answer: the figure is not just assumed.
    known: bool,
}

impl PeakEwma {
    /// Nothing is known yet.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            seconds: ASSUMED,
            at: now,
            known: false,
        }
    }

    /// Load with so many attempts in flight and one more. An endpoint of which nothing
    /// is known and nothing awaited gets that one: else a new one among fast ones would
    /// wait until the assumption has faded, and a burst would find it unknown.
    #[must_use]
    pub(crate) fn load(&self, in_flight: u32, now: Instant) -> f64 {
        let next = f64::from(in_flight) + f64::from(u8::from(self.known));
        self.read(now) * next
    }

    /// Latency in seconds, as it has faded until now: an endpoint that was slow is
    /// tried again some day even when nothing is heard of it.
    #[must_use]
    pub(crate) fn read(&self, now: Instant) -> f64 {
        self.seconds * Self::weight(now.saturating_duration_since(self.at))
    }

    /// Takes an answer into account. A failure never lowers the average: failing
    /// fast must not attract traffic.
    pub(crate) fn observe(&mut self, latency: Duration, success: bool, now: Instant) {
        let latency = latency.as_secs_f64();
        let weight = Self::weight(now.saturating_duration_since(self.at));
        let first = !std::mem::replace(&mut self.known, true);
        self.seconds = if latency > self.seconds || (first && success) {
            latency
        } else if success {
            self.seconds * weight + latency * (1.0 - weight)
        } else {
            self.seconds
        };
        self.at = now;
    }

    /// Takes into account that there was no answer for so long. It can only raise the
    /// average: how long the answer would have taken, nobody knows.
    pub(crate) fn observe_at_least(&mut self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        if latency > self.read(now) {
            *self = Self {
                seconds: latency,
                at: now,
                known: true,
            };
        }
    }

    fn weight(passed: Duration) -> f64 {
        (-passed.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::PeakEwma;

    #[tokio::test]
    async fn a_peak_counts_at_once_and_fades() {
        let now = Instant::now();
        let mut load = PeakEwma::new(now);
        load.observe(Duration::from_secs(1), true, now);
        assert!((load.read(now) - 1.0).abs() < 1e-9);
        let later = now + Duration::from_secs(10);
        assert!((load.read(later) - (-1.0_f64).exp()).abs() < 1e-9);
        load.observe(Duration::from_millis(10), true, later);
        assert!(load.read(later) < 0.4, "good answers lower it");
    }

    #[tokio::test]
    async fn the_first_answer_replaces_what_was_assumed() {
        let now = Instant::now();
        let mut load = PeakEwma::new(now);
        assert!(load.load(0, now) < 1e-9, "a new endpoint is tried");
        assert!(load.load(1, now) > 0.02, "but not by everyone at once");
        load.observe(Duration::from_millis(1), true, now);
        assert!((load.load(1, now) - 0.002).abs() < 1e-9);
    }

    #[tokio::test]
    async fn no_answer_for_long_raises_the_average_and_never_lowers_it() {
        let now = Instant::now();
        let mut load = PeakEwma::new(now);
        load.observe(Duration::from_millis(100), true, now);
        let later = now + Duration::from_secs(20);
        let faded = load.read(later);
        load.observe_at_least(Duration::from_millis(1), later);
        assert!((load.read(later) - faded).abs() < 1e-9);
        load.observe_at_least(Duration::from_millis(50), later);
        assert!((load.read(later) - 0.05).abs() < 1e-9);
    }

    #[tokio::test]
    async fn failing_fast_does_not_look_attractive() {
        let now = Instant::now();
        let mut load = PeakEwma::new(now);
        let later = now + Duration::from_secs(1);
        load.observe(Duration::from_micros(100), false, later);
        assert!(load.read(later) >= 0.03);
    }
}
