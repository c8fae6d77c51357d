//! Whether a rule strikes: a pure function, so that a fault found in a trace can
//! be drawn again anywhere.

use crate::random::{mix, unit};

/// The rule's part of a draw: FNV-1a over its id. Changing this, or [`draw`],
/// changes which requests a recorded experiment hits.
#[must_use]
pub(crate) fn rule_key(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A number from 0 up to, not including, 1; below the rule's share the rule strikes.
#[must_use]
pub(crate) fn draw(seed: u64, rule_key: u64, trace_id: [u8; 16], attempt: u32) -> f64 {
    let halves = trace_id.chunks(8).map(|half| {
        half.iter()
            .fold(0, |number, &byte| (number << 8) | u64::from(byte))
    });
    let parts = [rule_key]
        .into_iter()
        .chain(halves)
        .chain([u64::from(attempt)]);
    unit(parts.fold(mix(seed), |state, part| mix(state ^ part)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{draw, rule_key};

    proptest! {
        #[test]
        fn a_draw_depends_on_its_four_parts_alone(
            seed: u64, id in "[a-z0-9-]{1,20}", trace: [u8; 16], attempt: u32,
        ) {
            let once = draw(seed, rule_key(&id), trace, attempt);
            prop_assert!((0.0..1.0).contains(&once));
            prop_assert_eq!(once.to_bits(), draw(seed, rule_key(&id), trace, attempt).to_bits());
        }

        #[test]
        fn the_share_that_strikes_is_near_the_percentage(seed: u64, percent in 1_u32..100) {
            let share = f64::from(percent) / 100.0;
            let key = rule_key("flaky-payments");
            let hits = (0..4000_u128)
                .filter(|trace| draw(seed, key, trace.to_be_bytes(), 1) < share)
                .count();
            // five standard deviations of a binomial distribution
            let bound = 5.0 * (4000.0 * share * (1.0 - share)).sqrt();
            prop_assert!((hits as f64 - 4000.0 * share).abs() <= bound, "{hits} of 4000 at {percent} %");
        }
    }

    #[test]
    fn attempts_of_one_request_draw_anew() {
        let key = rule_key("flaky-payments");
        let both = (0..4000_u128)
            .filter(|trace| (1..=2).all(|n| draw(0, key, trace.to_be_bytes(), n) < 0.5))
            .count();
        assert!(
            (850..1150).contains(&both),
            "{both}: expected a quarter of 4000"
        );
    }

    /// Values computed once by another implementation: every machine and version must agree.
    #[test]
    fn draws_are_the_same_everywhere() {
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        let seen =
            [1, 2, 3].map(|n| format!("{:.6}", draw(42, rule_key("slow-inventory"), trace, n)));
        assert_eq!(seen, ["0.646437", "0.643203", "0.568953"]);
    }
}
