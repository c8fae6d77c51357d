//! Routes.

use super::{Findings, is_name, limits, name_expected, near, policy::positive, retry, rules};
use crate::{
    config::{HeaderChanges, Mirror, Policy, Route, Split},
    routing::{Flaw, Matcher, answer::Answer, changes::Changes, covers},
};

/// Reports what is wrong with a route; returns its conditions where they are sound.
pub(super) fn check(route: &Route, policy: &Policy, found: &mut Findings) -> Option<Matcher> {
    found.expect(is_name(&route.name), "name", || name_expected(&route.name));
    check_destination(route, policy, found);
    check_times(route, found);
    retry::check(route, found);
    limits::route(route, found);
    if let Some(Mirror { cluster, percent }) = &route.mirror {
        found.under("mirror", |found| {
            check_cluster("cluster", cluster, policy, found);
            rules::check_percent(*percent, found);
        });
    }
    let matcher = match Matcher::compile(&route.matches) {
        Ok(matcher) => matcher,
        Err(flaws) => {
            found.under("match", |found| report(flaws, found));
            return None;
        }
    };
    report(
        Answer::compile(route, &matcher.path)
            .err()
            .unwrap_or_default(),
        found,
    );
    report(
        Changes::compile(route, &matcher.path)
            .err()
            .unwrap_or_default(),
        found,
    );
    Some(matcher)
}

fn report(flaws: Vec<Flaw>, found: &mut Findings) {
    for Flaw { key, message } in flaws {
        found.report(&key, message);
    }
}

fn check_destination(route: &Route, policy: &Policy, found: &mut Findings) {
    let given: Vec<&str> = [
        ("cluster", route.cluster.is_some()),
        ("split", route.split.is_some()),
        ("redirect", route.redirect.is_some()),
        ("respond", route.respond.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    found.expect(given.len() == 1, "", || match given.as_slice() {
        [] => {
            "it leads nowhere: give one of `cluster`, `split`, `redirect` and `respond`".to_owned()
        }
        several => format!(
            "`{}` are given: keep one, a route leads to one place",
            several.join("`, `")
        ),
    });
    if let Some(cluster) = &route.cluster {
        check_cluster("cluster", cluster, policy, found);
    }
    if let Some(split) = &route.split {
        found.under("split", |found| check_split(split, policy, found));
    }
    if route.redirect.is_some() || route.respond.is_some() {
        check_idle(route, found);
    }
}

fn check_split(split: &Split, policy: &Policy, found: &mut Findings) {
    for cluster in split.clusters.keys() {
        check_cluster(&format!("clusters.{cluster}"), cluster, policy, found);
    }
    let sum: u64 = split
        .clusters
        .values()
        .map(|weight| u64::from(*weight))
        .sum();
    found.expect(sum > 0, "clusters", || {
        "no cluster has a weight: give at least one a weight of 1 or more".to_owned()
    });
    if let Some(pin) = &split.pin {
        found.expect(pin.parse::<http::HeaderName>().is_ok(), "pin", || {
            format!("`{pin}` is no name of a header")
        });
    }
}

/// What can do nothing where the sidecar answers itself.
fn check_idle(route: &Route, found: &mut Findings) {
    let idle = [
        ("rewrite", route.rewrite.is_some()),
        (
            "request_headers",
            route.request_headers != HeaderChanges::default(),
        ),
        ("attempt_timeout", route.attempt_timeout.is_some()),
        ("idle_timeout", route.idle_timeout.is_some()),
        ("retry", route.retry.is_some()),
        ("hedge", route.hedge.is_some()),
        ("mirror", route.mirror.is_some()),
    ];
    for (key, _) in idle.into_iter().filter(|(_, given)| *given) {
        found.report(
            key,
            "it does nothing on a route that answers here: leave it out",
        );
    }
}

fn check_cluster(key: &str, cluster: &str, policy: &Policy, found: &mut Findings) {
    found.expect(policy.clusters.contains_key(cluster), key, || {
        if policy.clusters.is_empty() {
            return format!(
                "no cluster `{cluster}`: the policy has no clusters, list it under `clusters`"
            );
        }
        let names = policy.clusters.keys().map(String::as_str);
        format!("no cluster `{cluster}`; {}", near::known(cluster, names))
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
    if let Some(idle) = route.idle_timeout {
        positive("idle_timeout", idle, found);
    }
    let bounded = route.deadline_covers_body || route.idle_timeout.is_some();
    found.expect(bounded, "deadline_covers_body", || {
        "nothing would ever end a stream that has gone silent: give `idle_timeout`, too, as `1m`".to_owned()
    });
    let least = route.attempt_min;
    found.expect(least < deadline, "attempt_min", || {
        format!(
            "{least:?} is not less than the deadline of {deadline:?}: no attempt would ever start"
        )
    });
}

/// A route whose every request an earlier route already takes can never be used.
pub(super) fn check_reachable<'a>(
    mut earlier: impl Iterator<Item = &'a (&'a str, Matcher)>,
    (name, matcher): (&str, &Matcher),
    found: &mut Findings,
) {
    let Some((wider, _)) = earlier.find(|(_, wide)| covers(wide, matcher)) else {
        return;
    };
    found.report("", format!(
        "`{name}` can never be reached: `{wider}` above it takes all of its requests; put the narrower route first"
    ));
}

#[cfg(test)]
mod tests {
    use crate::config::check;

    /// Problems of routes between two clusters, as `key: message`.
    fn problems(routes: &str) -> Vec<String> {
        let yaml = format!(
            "{{ clusters: {{ a: {{ endpoints: ['a:1'] }}, b: {{ endpoints: ['b:1'] }} }}, routes: [{routes}] }}"
        );
        let policy = serde_saphyr::from_str(&yaml).unwrap();
        check(&policy).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_route_leads_to_one_place() {
        for (route, key, part) in [
            ("", "routes[0]", "leads nowhere"),
            (
                "cluster: a, respond: { status: 200 }",
                "routes[0]",
                "`cluster`, `respond`",
            ),
            (
                "split: { clusters: { a: 0, b: 0 } }",
                "routes[0].split.clusters",
                "weight",
            ),
            (
                "split: { clusters: { c: 1 } }",
                "routes[0].split.clusters.c",
                "no cluster `c`",
            ),
            (
                "split: { clusters: { a: 1 }, pin: 'x y' }",
                "routes[0].split.pin",
                "header",
            ),
            (
                "respond: { status: 200 }, retry: {}",
                "routes[0].retry",
                "does nothing",
            ),
            (
                "redirect: { path: /x }, rewrite: { path: /y }",
                "routes[0].rewrite",
                "does nothing",
            ),
            (
                "redirect: { path: '/{id}' }",
                "routes[0].redirect.path",
                "path_template",
            ),
            (
                "cluster: a, match: { path: /a, path_regex: /b }",
                "routes[0].match",
                "one kind",
            ),
            (
                "cluster: a, match: { path_template: '/{id' }",
                "routes[0].match.path_template",
                "whole segment",
            ),
            (
                "cluster: a, match: { path_regex: '(' }",
                "routes[0].match.path_regex",
                "unclosed",
            ),
            (
                "cluster: a, match: { path_regex: 'a)|(b' }",
                "routes[0].match.path_regex",
                "unopened",
            ),
            (
                "cluster: a, match: { path_regex: '(a{1000}){1000}' }",
                "routes[0].match.path_regex",
                "size limit",
            ),
            (
                "cluster: a, rewrite: { path_prefix: /x }",
                "routes[0].rewrite.path_prefix",
                "there is none",
            ),
            (
                "cluster: a, request_headers: { set: { Connection: close } }",
                "routes[0].request_headers.set.Connection",
                "one connection",
            ),
        ] {
            let found = problems(&format!("{{ name: r, {route} }}"));
            let wanted = format!("{key}: ");
            assert!(
                found
                    .iter()
                    .any(|it| it.starts_with(&wanted) && it.contains(part)),
                "{route}: expected `{key}` … `{part}` among {found:#?}"
            );
        }
    }

    #[test]
    fn a_route_that_another_covers_is_unreachable_whatever_the_condition() {
        for (wide, narrow, unreachable) in [
            ("authority: '*.x.org'", "authority: a.x.org", true),
            ("authority: a.x.org", "authority: '*.x.org'", false),
            ("path_prefix: /a", "path: /a/b", true),
            ("path_prefix: /a", "path_template: '/a/{id}'", true),
            ("path_prefix: /a/b", "path_template: '/a/{id}'", false),
            ("path_template: '/a/{x}'", "path_template: '/a/{y}'", true),
            ("path_template: '/a/{x}'", "path: /a/b", true),
            ("path_template: '/a/{*rest}'", "path_prefix: /a/b", true),
            ("path_template: '/a/{*rest}'", "path_prefix: /a", false),
            ("path_regex: '/a/.*'", "path: /a/b", true),
            ("path_regex: '/a/.*'", "path_prefix: /a/b", false),
            (
                "headers: [{ name: X }]",
                "headers: [{ name: x, exact: a }]",
                true,
            ),
            (
                "headers: [{ name: x, prefix: a }]",
                "headers: [{ name: x, exact: b }]",
                false,
            ),
            (
                "headers: [{ name: x, exact: a, invert: true }]",
                "headers: [{ name: x, invert: true }]",
                true,
            ),
            (
                "query: [{ name: q, regex: '[0-9]+' }]",
                "query: [{ name: q, exact: '7' }]",
                true,
            ),
            ("methods: [GET]", "path: /a", false),
        ] {
            let routes = format!(
                "{{ name: wide, match: {{ {wide} }}, cluster: a }}, {{ name: narrow, match: {{ {narrow} }}, cluster: a }}"
            );
            let found = problems(&routes);
            assert_eq!(
                !found.is_empty(),
                unreachable,
                "{wide} above {narrow}: {found:#?}"
            );
        }
    }
}
