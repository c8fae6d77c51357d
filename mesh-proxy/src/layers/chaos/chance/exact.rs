//! Logarithm and exponential that are the same to the last bit everywhere: nothing but
//! additions, multiplications and divisions, whose results IEEE 754 prescribes.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// Bits of a double below its exponent.
const FRACTION: u64 = (1 << 52) - 1;
/// Exponent of 1.
const ONE: u64 = 1023;
/// Above this the exponential is taken for infinite; `f64` itself ends at 709.
const MOST: f64 = 700.0;

/// The natural logarithm of a normal number above 0, off by less than 1e-15 of it.
///
/// With x = m·2^k and m around 1: ln x = k·ln 2 + 2·atanh((m − 1) / (m + 1)), the
/// latter by its series (Abramowitz and Stegun, 4.1.27).
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut power = (bits >> 52) as f64 - ONE as f64;
    let mut part = f64::from_bits((bits & FRACTION) | (ONE << 52));
    if part > SQRT_2 {
        part /= 2.0;
        power += 1.0;
    }
    let s = (part - 1.0) / (part + 1.0); // |s| < 0.172: the 12th term is below 1e-17
    let z = s * s;
    let series = (0..12)
        .rev()
        .fold(0.0, |sum, n| sum * z + 1.0 / f64::from(2 * n + 1));
    power * LN_2 + 2.0 * s * series
}

/// The exponential of a number that is not below 0.
///
/// With x = k·ln 2 + r: e^x = 2^k · e^r, the latter by its series (Abramowitz and
/// Stegun, 4.2.1).
pub(super) fn exp(x: f64) -> f64 {
    if x.is_nan() || x > MOST {
        return f64::INFINITY;
    }
    let power = (x * LOG2_E + 0.5).floor();
    let rest = x - power * LN_2; // at most ln 2 / 2: the 16th term is below 1e-19
    let series = (1..16)
        .rev()
        .fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 1010"
    )]
    let doubling = f64::from_bits((ONE + power as u64) << 52);
    doubling * series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{exp, ln};

    fn near(ours: f64, theirs: f64) -> bool {
        (ours - theirs).abs() <= theirs.abs() * 1e-13 + 1e-15
    }

    proptest! {
        #[test]
        fn they_agree_with_the_platforms(x in 1e-17_f64..1e6, y in 0.0_f64..690.0) {
            prop_assert!(near(ln(x), x.ln()), "ln {x}: {} {}", ln(x), x.ln());
            prop_assert!(near(exp(y), y.exp()), "exp {y}: {} {}", exp(y), y.exp());
        }
    }

    #[test]
    fn the_ends_are_where_they_should_be() {
        assert!(ln(1.0).abs() < f64::EPSILON);
        assert!(near(ln(2_f64.powi(-53)), -36.736_800_569_677_1));
        assert!((exp(0.0) - 1.0).abs() < f64::EPSILON);
        assert!(exp(f64::MAX).is_infinite() && exp(f64::INFINITY).is_infinite());
    }
}
