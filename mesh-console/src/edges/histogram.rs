//! Cumulative buckets, and the quantiles that Prometheus would compute of them.

use std::collections::BTreeMap;

use super::page::growth;

/// Counts up to and with each upper bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    /// By the bits of the bound: those of numbers from zero up sort as the numbers do.
    counts: BTreeMap<u64, f64>,
}

impl Buckets {
    pub(super) fn add(&mut self, bound: f64, count: f64) {
        if bound >= 0.0 {
            *self.counts.entry(bound.to_bits()).or_default() += count;
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (bound, count) in &other.counts {
            *self.counts.entry(*bound).or_default() += count;
        }
    }

    pub(super) fn subtract(&mut self, old: &Self) {
        for (bound, count) in &mut self.counts {
            *count = growth(*count, old.counts.get(bound).copied().unwrap_or(0.0));
        }
    }
}

/// Estimate of a quantile: linear inside the bucket it falls into; the highest
/// finite bound where it falls beyond all of them. None without observations.
pub(super) fn quantile(buckets: &Buckets, share: f64) -> Option<f64> {
    let total = buckets.counts.values().copied().reduce(f64::max)?;
    if total <= 0.0 {
        return None;
    }
    let rank = share * total;
    let (mut low, mut below) = (0.0, 0.0);
    for (bits, count) in &buckets.counts {
        let bound = f64::from_bits(*bits);
        if *count >= rank {
            if bound.is_infinite() {
                return Some(low);
            }
            let inside = count - below;
            let part = if inside > 0.0 {
                (rank - below) / inside
            } else {
                1.0
            };
            return Some(low + (bound - low) * part);
        }
        (low, below) = (bound, *count);
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> Buckets {
        let mut buckets = Buckets::default();
        for (bound, count) in pairs {
            buckets.add(*bound, *count);
        }
        buckets
    }

    fn close(found: Option<f64>, wanted: f64) {
        assert!(
            (found.unwrap() - wanted).abs() < 1e-9,
            "{found:?} is not {wanted}"
        );
    }

    #[test]
    fn quantiles_are_interpolated() {
        let buckets = of(&[(0.1, 50.0), (0.2, 100.0), (f64::INFINITY, 100.0)]);
        close(quantile(&buckets, 0.5), 0.1);
        close(quantile(&buckets, 0.75), 0.15);
    }

    #[test]
    fn beyond_all_bounds_the_highest_is_said() {
        let buckets = of(&[(0.1, 1.0), (f64::INFINITY, 10.0)]);
        close(quantile(&buckets, 0.99), 0.1);
    }

    #[test]
    fn nothing_observed_has_no_quantile() {
        assert_eq!(quantile(&Buckets::default(), 0.5), None);
        assert_eq!(quantile(&of(&[(0.1, 0.0)]), 0.5), None);
    }
}
