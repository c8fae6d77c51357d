//! A whole policy, part by part.

use std::{collections::HashMap, time::Duration};

use super::{Findings, cluster, inbound, route, rules};
use crate::config::Policy;

pub(super) fn check(policy: &Policy, found: &mut Findings) {
    found.under("clusters", |found| {
        for (name, cluster) in &policy.clusters {
            found.under(name, |found| cluster::check(name, cluster, found));
        }
    });
    let mut names = HashMap::new();
    let mut earlier = Vec::with_capacity(policy.routes.len());
    found.each("routes", &policy.routes, |found, index, route| {
        if let Some(first) = names.insert(route.name.as_str(), index) {
            let name = &route.name;
            found.report(
                "name",
                format!("`{name}` is the name of routes[{first}], too: names must be unique"),
            );
        }
        if let Some(matcher) = route::check(route, policy, found) {
            let name = route.name.as_str();
            route::check_reachable(earlier.iter(), (name, &matcher), found);
            earlier.push((name, matcher));
        }
    });
    found.under("inbound", |found| inbound::check(&policy.inbound, found));
    rules::check(&policy.chaos, found);
}

pub(super) fn check_path(prefix: Option<&str>, found: &mut Findings) {
    if let Some(prefix) = prefix {
        found.expect(prefix.starts_with('/'), "path_prefix", || {
            format!("`{prefix}` is no path: it must begin with `/`")
        });
    }
}

pub(super) fn check_methods(methods: &[String], found: &mut Findings) {
    found.each("methods", methods, |found, _, method| {
        let fine = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase() || c == '-');
        found.expect(fine, "", || {
            format!("`{method}` is no method: expected capitals, as `GET`")
        });
    });
}

pub(super) fn positive(key: &str, value: Duration, found: &mut Findings) {
    found.expect(!value.is_zero(), key, || {
        "0 is too short: expected more than nothing, as `250ms`".to_owned()
    });
    bounded(key, value, found);
}

/// Longest time of any setting: sums of times must stay within the clock's range.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// A time that may be 0.
pub(super) fn bounded(key: &str, value: Duration, found: &mut Findings) {
    found.expect(value <= LONGEST, key, || {
        "is too long: expected at most a year; leave an optional time out for no end".to_owned()
    });
}
