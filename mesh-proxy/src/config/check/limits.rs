//! Limits.

use super::Findings;
use crate::config::{AdaptiveLimit, InboundPolicy, RateLimit, RateLimitPer, Route};

pub(super) fn route(route: &Route, found: &mut Findings) {
    in_flight(route.max_in_flight, found);
    adaptive(route.adaptive.as_ref(), found);
    rate(route.rate_limit.as_ref(), found);
    let per = route.rate_limit.as_ref().map(|rate| rate.per);
    found.expect(per != Some(RateLimitPer::Caller), "rate_limit.per", || {
        "a route has one caller, the application: leave `per` out; `caller` is for `inbound.rate_limit`".to_owned()
    });
}

pub(super) fn inbound(inbound: &InboundPolicy, found: &mut Findings) {
    in_flight(inbound.max_in_flight, found);
    adaptive(inbound.adaptive.as_ref(), found);
    rate(inbound.rate_limit.as_ref(), found);
}

fn in_flight(most: Option<usize>, found: &mut Findings) {
    found.expect(most != Some(0), "max_in_flight", || {
        "0 would refuse every request: expected 1 or more, or leave it out for no cap".to_owned()
    });
}

fn adaptive(limit: Option<&AdaptiveLimit>, found: &mut Findings) {
    let Some(limit) = limit else { return };
    found.under("adaptive", |found| {
        found.expect(limit.min > 0, "min", || {
            "0 would refuse every request: expected 1 or more".to_owned()
        });
        found.expect(limit.min <= limit.max, "max", || {
            format!("{} is less than `min`, {}", limit.max, limit.min)
        });
        let tolerance = limit.tolerance;
        found.expect((1.0..=10.0).contains(&tolerance), "tolerance", || {
            format!("{tolerance} is no tolerance: expected 1 (no longer than the shortest time) to 10; 2 is usual")
        });
    });
}

fn rate(rate: Option<&RateLimit>, found: &mut Findings) {
    let Some(rate) = rate else { return };
    found.under("rate_limit", |found| {
        for (key, value) in [("per_second", Some(rate.per_second)), ("burst", rate.burst)] {
            found.expect(value != Some(0), key, || {
                "0 would refuse every request: expected 1 or more".to_owned()
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::config::check;

    #[test]
    fn limits_that_refuse_everything_or_mean_nothing_are_reported() {
        for (limit, key, words) in [
            ("max_in_flight: 0", "max_in_flight", "refuse every request"),
            (
                "adaptive: { min: 0 }",
                "adaptive.min",
                "refuse every request",
            ),
            (
                "adaptive: { min: 9, max: 8 }",
                "adaptive.max",
                "less than `min`",
            ),
            (
                "adaptive: { tolerance: 0.5 }",
                "adaptive.tolerance",
                "2 is usual",
            ),
            (
                "rate_limit: { per_second: 0 }",
                "rate_limit.per_second",
                "refuse every request",
            ),
            (
                "rate_limit: { per_second: 1, per: caller }",
                "rate_limit.per",
                "inbound",
            ),
        ] {
            let yaml = format!(
                "clusters: {{ a: {{}} }}\nroutes: [{{ name: r, match: {{}}, cluster: a, {limit} }}]"
            );
            let problems = check(&serde_saphyr::from_str(&yaml).unwrap());
            let key = format!("routes[0].{key}");
            let found = problems.iter().find(|problem| problem.key == key);
            let told = found.is_some_and(|problem| problem.message.contains(words));
            assert!(told, "{limit}: {problems:?}");
        }
        let inbound = "inbound: { rate_limit: { per_second: 1, per: caller } }";
        assert_eq!(check(&serde_saphyr::from_str(inbound).unwrap()), []);
    }
}
