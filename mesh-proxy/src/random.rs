//! Randomness that is passed in and can be seeded.
//!
//! Load balancing and backoff need speed and spread, not secrecy; chaos needs
//! draws that are the same on every machine and in every version. Both use the
//! finaliser of `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom
//! number generators", 2014), written out here so that no dependency can change it.

use std::sync::atomic::{AtomicU64, Ordering};

/// 2^64 divided by the golden ratio: the step between states of `SplitMix64`.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads every bit of `state` over all bits of the result.
#[must_use]
pub const fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The upper 53 bits as a number from 0 up to, not including, 1.
#[must_use]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A stream of random numbers that threads can share without a lock.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// The same seed gives the same stream.
    #[must_use]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A stream that differs from run to run.
    #[must_use]
    pub(crate) fn from_system() -> Self {
        Self::seeded(rand::random())
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        mix(self.0.fetch_add(GOLDEN, Ordering::Relaxed))
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn unit(&self) -> f64 {
        unit(self.bits())
    }

    /// An index below `count`, which must not be 0.
    pub(crate) fn below(&self, count: usize) -> usize {
        // Lemire's multiplication instead of a remainder; the bias at these counts
        // is far below what a balancer can show.
        let wide = u128::from(self.bits()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let (one, other) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..100 {
            assert_eq!(one.bits(), other.bits());
        }
    }

    #[test]
    fn indices_stay_below_the_count_and_reach_all_of_it() {
        let random = Random::seeded(1);
        let mut seen = [0_u32; 3];
        for _ in 0..3000 {
            seen[random.below(3)] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }
}
