//! What is drawn beyond yes or no: how long a pause is, which byte changes.
//!
//! Every draw is a pure function of rule, fault, trace and attempt, so that a replay
//! waits as long and breaks the same bytes. That is why the distributions are written
//! out here: a crate of distributions may change how it gets from bits to a number with
//! any release, and `f64::ln` is the platform's, which may differ in the last bit.

mod exact;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::draw::{hash, mixed};
use crate::{
    config::{Delay, FaultKind},
    random::Random,
};

/// No pause is longer, however heavy the tail.
pub(crate) const LONGEST: Duration = Duration::from_hours(1);

/// A stream of numbers for one fault of one rule on one attempt.
#[derive(Debug)]
pub(crate) struct Chance(Random);

impl Chance {
    /// The same parts give the same stream.
    pub(crate) fn of(seed: u64, rule: &str, kind: FaultKind, fate: [u8; 16], attempt: u32) -> Self {
        let keys = [rule, kind.as_str()].map(|text| hash(text.bytes()));
        Self(Random::seeded(mixed(seed, keys, fate, attempt)))
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// A whole number below `count`; 0 where there is none.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        let wide = u128::from(self.0.bits()) * u128::from(count);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number above 0, up to and including 1: its logarithm is finite.
    fn positive(&mut self) -> f64 {
        1.0 - self.unit()
    }
}

/// How long this pause is; at most [`LONGEST`].
///
/// Uniform, exponential and Pareto by inverting the distribution function (Devroye,
/// "Non-Uniform Random Variate Generation", 1986, II.2); normal by the polar method.
pub(crate) fn sample(delay: &Delay, chance: &mut Chance) -> Duration {
    match *delay {
        Delay::Fixed(time) => time.min(LONGEST),
        Delay::Uniform { from, to } => {
            let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
            clamped(from + (to - from) * chance.unit())
        }
        Delay::Normal { mean, deviation } => {
            clamped(mean.as_secs_f64() + deviation.as_secs_f64() * normal(chance))
        }
        Delay::Exponential { mean } => clamped(-exact::ln(chance.positive()) * mean.as_secs_f64()),
        Delay::Pareto { scale, shape } => {
            let stretch = exact::exp(-exact::ln(chance.positive()) / shape);
            clamped(scale.as_secs_f64() * stretch)
        }
    }
}

/// A number from the standard normal distribution, by the polar method (Marsaglia and
/// Bray, "A convenient method for generating normal variables", 1964): a point in the
/// unit circle, found in 4/π tries on average. Its twin is thrown away, so that one
/// pause does not depend on how many came before.
fn normal(chance: &mut Chance) -> f64 {
    loop {
        let (x, y) = (2.0 * chance.unit() - 1.0, 2.0 * chance.unit() - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * exact::ln(square) / square).sqrt();
        }
    }
}

/// Seconds, from 0 to [`LONGEST`]; what is no number is 0.
fn clamped(seconds: f64) -> Duration {
    let seconds = seconds.clamp(0.0, LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
