//! Limits.

use super::Findings;
use crate::config::RateLimit;

pub(super) fn check(in_flight: Option<usize>, rate: Option<&RateLimit>, found: &mut Findings) {
    found.expect(in_flight != Some(0), "max_in_flight", || {
        "0 would refuse every request: expected 1 or more, or leave it out for no cap".to_owned()
    });
    let Some(rate) = rate else { return };
    found.under("rate_limit", |found| {
        for (key, value) in [("per_second", Some(rate.per_second)), ("burst", rate.burst)] {
            found.expect(value != Some(0), key, || {
                "0 would refuse every request: expected 1 or more".to_owned()
            });
        }
    });
}
