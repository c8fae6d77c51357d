//! Statistics from fixed seeds: what is drawn follows the distribution that the rule
//! names, and is the same everywhere.

use std::time::Duration;

use proptest::prelude::*;

use super::{Chance, LONGEST, sample};
use crate::config::{Delay, FaultKind};

const COUNT: u32 = 20_000;
const SEEDS: [u64; 3] = [0, 7, 4_711];

fn delay(text: &str) -> Delay {
    text.parse().unwrap()
}

/// One pause each for so many traces, in seconds, the shortest first.
fn pauses(text: &str, seed: u64) -> Vec<f64> {
    let delay = delay(text);
    let one = |trace: u32| {
        let fate = u128::from(trace).to_be_bytes();
        let mut chance = Chance::of(seed, "slow", FaultKind::Delay, fate, 1);
        sample(&delay, &mut chance).as_secs_f64()
    };
    let mut pauses: Vec<f64> = (0..COUNT).map(one).collect();
    pauses.sort_by(f64::total_cmp);
    pauses
}

/// Kolmogorov and Smirnov: the greatest distance between the share of pauses up to a
/// length and the probability of them.
fn distance(sorted: &[f64], probability: impl Fn(f64) -> f64) -> f64 {
    let count = sorted.len() as f64;
    let steps = sorted.iter().enumerate().map(|(index, &length)| {
        let wanted = probability(length);
        let (below, above) = (index as f64 / count, (index + 1) as f64 / count);
        (wanted - below).abs().max((above - wanted).abs())
    });
    steps.fold(0.0, f64::max)
}

/// Φ, by the series of Abramowitz and Stegun, 26.2.10.
fn standard_normal(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / (2.0 * n);
        sum += term / (2.0 * n + 1.0);
    }
    0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn pauses_follow_the_distribution_that_the_rule_names() {
    type Probability = fn(f64) -> f64;
    let kinds: [(&str, Probability); 5] = [
        ("uniform:100ms:300ms", |x| (x - 0.1) / 0.2),
        ("normal:200ms:30ms", |x| standard_normal((x - 0.2) / 0.03)),
        ("exponential:200ms", |x| 1.0 - (-x / 0.2).exp()),
        ("pareto:100ms:1.5", |x| 1.0 - (0.1 / x).powf(1.5)),
        ("pareto:100ms:0.8", |x| {
            // What is longer than the longest is the longest.
            let x = if x < LONGEST.as_secs_f64() {
                x
            } else {
                f64::MAX
            };
            1.0 - (0.1 / x).powf(0.8)
        }),
    ];
    // Exceeded by true draws once in a thousand: sqrt(-ln(0.001 / 2) / 2n).
    let bound = (-(0.001_f64 / 2.0).ln() / (2.0 * f64::from(COUNT))).sqrt();
    for (text, probability) in kinds {
        for seed in SEEDS {
            let apart = distance(&pauses(text, seed), probability);
            assert!(apart < bound, "{text}, seed {seed}: {apart} of {bound}");
        }
    }
}

#[test]
fn means_and_deviations_are_those_of_the_rule() {
    // Mean, deviation and excess kurtosis, from which follow the errors of the first two
    // over n draws: deviation / sqrt(n), and deviation * sqrt((kurtosis + 2) / 4n).
    let kinds = [
        ("uniform:100ms:300ms", 0.2, 0.2 / 12_f64.sqrt(), -1.2),
        ("normal:200ms:30ms", 0.2, 0.03, 0.0),
        ("exponential:200ms", 0.2, 0.2, 6.0),
    ];
    let count = f64::from(COUNT);
    for (text, mean, deviation, kurtosis) in kinds {
        let (text, kurtosis): (&str, f64) = (text, kurtosis);
        for seed in SEEDS {
            let pauses = pauses(text, seed);
            let seen = pauses.iter().sum::<f64>() / count;
            let squares = pauses.iter().map(|x| (x - seen).powi(2)).sum::<f64>();
            let spread = (squares / count).sqrt();
            let error = deviation / count.sqrt();
            assert!((seen - mean).abs() < 4.0 * error, "{text}: mean {seen}");
            let error = deviation * ((kurtosis + 2.0) / (4.0 * count)).sqrt();
            assert!(
                (spread - deviation).abs() < 4.0 * error,
                "{text}: deviation {spread}"
            );
            assert!((delay(text).mean().as_secs_f64() - mean).abs() < 1e-9);
        }
    }
}

#[test]
fn quantiles_are_where_the_documentation_says() {
    // p50, p90, p99 and p99.9, in seconds.
    let kinds = [
        ("uniform:100ms:300ms", [0.2, 0.28, 0.298, 0.2998]),
        ("normal:200ms:50ms", [0.2, 0.264_08, 0.316_32, 0.354_51]),
        (
            "exponential:200ms",
            [0.138_63, 0.460_52, 0.921_03, 1.381_55],
        ),
        ("pareto:100ms:1.5", [0.158_74, 0.464_16, 2.154_43, 10.0]),
    ];
    for (text, quantiles) in kinds {
        let pauses = pauses(text, 0);
        for (share, wanted) in [0.5, 0.9, 0.99, 0.999].into_iter().zip(quantiles) {
            let shorter = pauses.partition_point(|&pause| pause < wanted);
            // The number below a quantile is binomial: four of its deviations.
            let error = 4.0 * (f64::from(COUNT) * share * (1.0 - share)).sqrt();
            let off = (shorter as f64 - f64::from(COUNT) * share).abs();
            assert!(off <= error, "{text}: {shorter} of {COUNT} below {wanted}");
        }
    }
}

#[test]
fn what_would_be_below_nothing_is_nothing() {
    let pauses = pauses("normal:10ms:10ms", 0);
    let at_once = pauses.iter().filter(|pause| **pause == 0.0).count();
    let share = standard_normal(-1.0);
    let error = 4.0 * (f64::from(COUNT) * share * (1.0 - share)).sqrt();
    let off = (at_once as f64 - f64::from(COUNT) * share).abs();
    assert!(off < error, "{at_once} of {COUNT} at once");
}

#[test]
fn each_fault_rule_attempt_seed_and_fate_has_a_stream_of_its_own() {
    let first = |seed, rule: &str, kind, fate: [u8; 16], attempt| {
        Chance::of(seed, rule, kind, fate, attempt).unit().to_bits()
    };
    let kind = FaultKind::Delay;
    let streams = [
        first(0, "slow", kind, [1; 16], 1),
        first(1, "slow", kind, [1; 16], 1),
        first(0, "slo", kind, [1; 16], 1),
        first(0, "slow", FaultKind::ChunkDelay, [1; 16], 1),
        first(0, "slow", kind, [2; 16], 1),
        first(0, "slow", kind, [1; 16], 2),
    ];
    let different: std::collections::HashSet<u64> = streams.into_iter().collect();
    assert_eq!(different.len(), streams.len());
    assert_eq!(streams[0], first(0, "slow", kind, [1; 16], 1));
}

/// Computed once with forty digits by another implementation: every machine and version
/// must agree, or a replay would not meet the same fate.
#[test]
fn pauses_are_the_same_everywhere() {
    let fate = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    for (text, wanted) in [
        (
            "uniform:100ms:300ms",
            [179_425_882, 258_031_863, 258_246_333],
        ),
        ("normal:200ms:50ms", [176_729_475, 226_961_544, 261_862_451]),
        ("exponential:200ms", [101_210_543, 312_281_335, 313_306_016]),
        ("pareto:100ms:1.5", [140_125_530, 283_187_146, 284_156_054]),
    ] {
        let mut chance = Chance::of(42, "slow-inventory", FaultKind::Delay, fate, 1);
        let pauses = wanted.map(|_| sample(&delay(text), &mut chance));
        assert_eq!(pauses, wanted.map(Duration::from_nanos), "{text}");
    }
}

fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0_u64..10_000_000_000).prop_map(Duration::from_nanos),
    ]
}

fn any_delay() -> impl Strategy<Value = Delay> {
    let numbers = prop_oneof![any::<f64>(), 0.01_f64..5.0];
    (0..5, any_time(), any_time(), numbers).prop_map(|(kind, a, b, shape)| match kind {
        0 => Delay::Fixed(a),
        1 => Delay::Uniform { from: a, to: b },
        2 => Delay::Normal {
            mean: a,
            deviation: b,
        },
        3 => Delay::Exponential { mean: a },
        _ => Delay::Pareto { scale: a, shape },
    })
}

proptest! {
    #[test]
    fn no_pause_is_longer_than_an_hour_whatever_the_rule_says(delay in any_delay(), fate: [u8; 16]) {
        let mut chance = Chance::of(0, "any", FaultKind::Delay, fate, 1);
        for _ in 0..20 {
            prop_assert!(sample(&delay, &mut chance) <= LONGEST);
        }
    }

    #[test]
    fn pauses_stay_within_the_bounds_of_their_kind(fate: [u8; 16]) {
        let mut chance = Chance::of(0, "any", FaultKind::Delay, fate, 1);
        let uniform = sample(&delay("uniform:100ms:300ms"), &mut chance);
        prop_assert!((100..=300).contains(&uniform.as_millis()));
        prop_assert!(sample(&delay("pareto:100ms:1.5"), &mut chance).as_millis() >= 100);
        prop_assert_eq!(sample(&delay("250ms"), &mut chance).as_millis(), 250);
    }
}
