//! Whether a fault strikes: a pure function, so that one that was found in a trace can
//! be drawn again anywhere.

use crate::{
    config::FaultKind,
    random::{mix, unit},
};

/// The fault's part of a draw: FNV-1a over `<rule id>/<kind>`. Changing this, or
/// [`draw`], changes which requests a recorded experiment hits.
#[must_use]
pub(crate) fn fault_key(rule: &str, kind: FaultKind) -> u64 {
    hash(rule.bytes().chain([b'/']).chain(kind.as_str().bytes()))
}

/// FNV-1a.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A number from 0 up to, not including, 1; below the fault's share it strikes.
#[must_use]
pub(crate) fn draw(seed: u64, fault_key: u64, fate: [u8; 16], attempt: u32) -> f64 {
    unit(mixed(seed, [fault_key], fate, attempt))
}

/// Everything that a verdict or a stream depends on, as one number.
pub(super) fn mixed<const N: usize>(
    seed: u64,
    keys: [u64; N],
    fate: [u8; 16],
    attempt: u32,
) -> u64 {
    let halves = fate.chunks(8).map(|half| {
        half.iter()
            .fold(0, |number, &byte| (number << 8) | u64::from(byte))
    });
    let parts = keys.into_iter().chain(halves).chain([u64::from(attempt)]);
    parts.fold(mix(seed), |state, part| mix(state ^ part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{draw, fault_key};
    use crate::config::FaultKind;

    proptest! {
        #[test]
        fn a_draw_depends_on_its_five_parts_alone(
            seed: u64, id in "[a-z0-9-]{1,20}", kind in 0..11_usize, trace: [u8; 16], attempt: u32,
        ) {
            let key = || fault_key(&id, FaultKind::ALL[kind]);
            let once = draw(seed, key(), trace, attempt);
            prop_assert!((0.0..1.0).contains(&once));
            prop_assert_eq!(once.to_bits(), draw(seed, key(), trace, attempt).to_bits());
        }

        #[test]
        fn the_share_that_strikes_is_near_the_percentage(seed: u64, percent in 1_u32..100) {
            let share = f64::from(percent) / 100.0;
            let key = fault_key("flaky-payments", FaultKind::Abort);
            let hits = (0..4000_u128)
                .filter(|trace| draw(seed, key, trace.to_be_bytes(), 1) < share)
                .count();
            // five standard deviations of a binomial distribution
            let bound = 5.0 * (4000.0 * share * (1.0 - share)).sqrt();
            prop_assert!((hits as f64 - 4000.0 * share).abs() <= bound, "{hits} of 4000 at {percent} %");
        }
    }

    /// Of two draws for the same traces, how often both are below a half.
    fn both(first: impl Fn(u128) -> f64, second: impl Fn(u128) -> f64) -> usize {
        (0..4000)
            .filter(|&trace| first(trace) < 0.5 && second(trace) < 0.5)
            .count()
    }

    #[test]
    fn attempts_of_one_request_draw_anew() {
        let key = fault_key("flaky-payments", FaultKind::Abort);
        let of = |attempt| move |trace: u128| draw(0, key, trace.to_be_bytes(), attempt);
        let both = both(of(1), of(2));
        let wanted = 850..1150;
        assert!(wanted.contains(&both), "{both}: expected a quarter of 4000");
    }

    #[test]
    fn faults_of_one_rule_draw_independently() {
        let of = |kind| {
            let key = fault_key("flaky-payments", kind);
            move |trace: u128| draw(0, key, trace.to_be_bytes(), 1)
        };
        for (index, kind) in FaultKind::ALL.into_iter().enumerate() {
            for other in FaultKind::ALL.into_iter().skip(index + 1) {
                let both = both(of(kind), of(other));
                let wanted = 850..1150;
                assert!(wanted.contains(&both), "{kind} and {other}: {both} of 4000");
            }
        }
    }

    /// Values computed once by another implementation: every machine and version must agree.
    #[test]
    fn draws_are_the_same_everywhere() {
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        let key = fault_key("slow-inventory", FaultKind::Delay);
        let seen = [1, 2, 3].map(|n| format!("{:.6}", draw(42, key, trace, n)));
        assert_eq!(seen, ["0.781914", "0.136308", "0.503300"]);
    }
}
