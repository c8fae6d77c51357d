//! Clusters, routes and the inbound side.

use std::{collections::HashMap, time::Duration};

use super::{Findings, is_name, name_expected, rules};
use crate::config::{
    Cluster, InboundPolicy, Mirror, Policy, RateLimit, RetryPolicy, Route, RouteMatch,
};

/// Most tries of one request: beyond this a retry policy is an outage amplifier.
const MAX_ATTEMPTS: u32 = 10;

pub(super) fn check(policy: &Policy, found: &mut Findings) {
    found.under("clusters", |found| {
        for (name, cluster) in &policy.clusters {
            found.under(name, |found| check_cluster(name, cluster, found));
        }
    });
    let mut names = HashMap::new();
    found.each("routes", &policy.routes, |found, index, route| {
        if let Some(first) = names.insert(route.name.as_str(), index) {
            let name = &route.name;
            found.report(
                "name",
                format!("`{name}` is the name of routes[{first}], too: names must be unique"),
            );
        }
        check_route(route, policy, found);
        check_reachable(&policy.routes[..index], route, found);
    });
    found.under("inbound", |found| check_inbound(&policy.inbound, found));
    rules::check(&policy.chaos, found);
}

fn check_cluster(name: &str, cluster: &Cluster, found: &mut Findings) {
    found.expect(is_name(name), "", || name_expected(name));
    found.each("endpoints", &cluster.endpoints, |found, index, endpoint| {
        found.expect(is_endpoint(endpoint), "", || {
            format!("`{endpoint}` is no endpoint: expected `host:port`, as `127.0.0.1:4180` or `payments-1:4180`")
        });
        found.expect(!cluster.endpoints[..index].contains(endpoint), "", || {
            format!("`{endpoint}` is listed twice: it would get twice its share")
        });
    });
    for (key, value) in [
        ("share", cluster.budget.share),
        ("floor", cluster.budget.floor),
    ] {
        found.under("budget", |found| {
            found.expect(value.is_finite() && value >= 0.0, key, || {
                format!("{value} is no budget: expected 0 or more")
            });
        });
    }
    let share = cluster.max_ejected;
    found.expect((0.0..=1.0).contains(&share), "max_ejected", || {
        format!("{share} is no share: expected 0 (none) to 1 (all)")
    });
    positive("ejection", cluster.ejection, found);
    positive("connect_timeout", cluster.connect_timeout, found);
}

fn check_route(route: &Route, policy: &Policy, found: &mut Findings) {
    found.expect(is_name(&route.name), "name", || name_expected(&route.name));
    found.under("match", |found| check_match(&route.matches, found));
    check_cluster_name(&route.cluster, policy, found);
    check_times(route, found);
    if let Some(retry) = &route.retry {
        found.under("retry", |found| check_retry(retry, found));
    }
    check_limits(route.max_in_flight, route.rate_limit.as_ref(), found);
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

fn check_path(prefix: Option<&str>, found: &mut Findings) {
    if let Some(prefix) = prefix {
        found.expect(prefix.starts_with('/'), "path_prefix", || {
            format!("`{prefix}` is no path: it must begin with `/`")
        });
    }
}

fn check_methods(methods: &[String], found: &mut Findings) {
    found.each("methods", methods, |found, _, method| {
        let fine = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase() || c == '-');
        found.expect(fine, "", || {
            format!("`{method}` is no method: expected capitals, as `GET`")
        });
    });
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

fn check_retry(retry: &RetryPolicy, found: &mut Findings) {
    found.expect(
        (1..=MAX_ATTEMPTS).contains(&retry.attempts),
        "attempts",
        || {
            format!(
                "{} attempts: expected 1 (no retry) to {MAX_ATTEMPTS}, the first included",
                retry.attempts
            )
        },
    );
    found.expect(retry.attempts <= 1 || !retry.on.is_empty(), "on", || {
        "no condition is listed, so nothing would be retried: name some, as `5xx`, or set `attempts: 1`".to_owned()
    });
    found.expect(
        retry.backoff_base <= retry.backoff_cap,
        "backoff_base",
        || {
            format!(
                "{:?} is more than `backoff_cap` {:?}",
                retry.backoff_base, retry.backoff_cap
            )
        },
    );
}

fn check_limits(in_flight: Option<usize>, rate: Option<&RateLimit>, found: &mut Findings) {
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

fn check_inbound(inbound: &InboundPolicy, found: &mut Findings) {
    check_limits(inbound.max_in_flight, inbound.rate_limit.as_ref(), found);
    if let Some(deadline) = inbound.deadline {
        positive("deadline", deadline, found);
    }
    found.each("callers", &inbound.callers, |found, _, name| {
        found.expect(is_name(name), "", || name_expected(name));
    });
    found.each("deny", &inbound.deny, |found, _, deny| {
        check_path(deny.path_prefix.as_deref(), found);
        check_methods(&deny.methods, found);
        let empty = deny.path_prefix.is_none() && deny.methods.is_empty();
        found.expect(!empty, "", || {
            "refuses everything: give `methods`, `path_prefix` (`/` means every path) or both"
                .to_owned()
        });
    });
}

/// A route whose every request an earlier route already takes can never be used.
fn check_reachable(earlier: &[Route], route: &Route, found: &mut Findings) {
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

fn positive(key: &str, value: Duration, found: &mut Findings) {
    found.expect(!value.is_zero(), key, || {
        "0 is too short: expected more than nothing, as `250ms`".to_owned()
    });
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', '/', '@', ' '])
}

fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let named = !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']);
        (bracketed || named) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}
