//! Routes.

use super::{
    Findings, is_name, limits, name_expected,
    policy::{check_methods, check_path, positive},
    retry, rules,
};
use crate::config::{Mirror, Policy, Route, RouteMatch};

pub(super) fn check(route: &Route, policy: &Policy, found: &mut Findings) {
    found.expect(is_name(&route.name), "name", || name_expected(&route.name));
    found.under("match", |found| check_match(&route.matches, found));
    if let Some(cluster) = &route.cluster {
        check_cluster_name(cluster, policy, found);
    }
    check_times(route, found);
    retry::check(route, found);
    limits::check(route.max_in_flight, route.rate_limit.as_ref(), found);
    if let Some(Mirror { cluster, percent }) = &route.mirror {
        found.under("mirror", |found| {
            check_cluster_name(cluster, policy, found);
            rules::check_percent(*percent, found);
        });
    }
}

fn check_cluster_name(cluster: &str, policy: &Policy, found: &mut Findings) {
    found.expect(policy.clusters.contains_key(cluster), "cluster", || {
        let known: Vec<&str> = policy.clusters.keys().map(String::as_str).collect();
        if known.is_empty() {
            return format!(
                "no cluster `{cluster}`: the policy has no clusters, list it under `clusters`"
            );
        }
        format!("no cluster `{cluster}`; known: {}", known.join(", "))
    });
}

fn check_match(matches: &RouteMatch, found: &mut Findings) {
    if let Some(authority) = &matches.authority {
        found.expect(is_host(authority), "authority", || {
            format!("`{authority}` is no host: expected a name without scheme, port and path, as `payments`")
        });
    }
    check_path(matches.path_prefix.as_deref(), found);
    check_methods(&matches.methods, found);
}

fn check_times(route: &Route, found: &mut Findings) {
    positive("deadline", route.deadline, found);
    let deadline = route.deadline;
    if let Some(attempt) = route.attempt_timeout {
        positive("attempt_timeout", attempt, found);
        found.expect(attempt <= deadline, "attempt_timeout", || {
            format!("{attempt:?} is longer than the deadline of {deadline:?} and would never pass: make it shorter, or the deadline longer")
        });
    }
    let least = route.attempt_min;
    found.expect(least < deadline, "attempt_min", || {
        format!(
            "{least:?} is not less than the deadline of {deadline:?}: no attempt would ever start"
        )
    });
}

/// A route whose every request an earlier route already takes can never be used.
pub(super) fn check_reachable(earlier: &[Route], route: &Route, found: &mut Findings) {
    let Some(wider) = earlier.iter().find(|e| covers(&e.matches, &route.matches)) else {
        return;
    };
    found.report("", format!(
        "`{}` can never be reached: `{}` above it takes all of its requests; put the narrower route first",
        route.name, wider.name
    ));
}

fn covers(wide: &RouteMatch, narrow: &RouteMatch) -> bool {
    let authority = wide.authority.as_ref().is_none_or(|wide| {
        narrow
            .authority
            .as_ref()
            .is_some_and(|narrow| wide.eq_ignore_ascii_case(narrow))
    });
    let path = wide.path_prefix.as_ref().is_none_or(|wide| {
        narrow
            .path_prefix
            .as_ref()
            .is_some_and(|narrow| crate::paths::has_prefix(narrow, wide))
    });
    let methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty() && narrow.methods.iter().all(|m| wide.methods.contains(m)));
    authority && path && methods
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', '/', '@', ' '])
}
