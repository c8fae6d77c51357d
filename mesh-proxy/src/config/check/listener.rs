//! What listeners bear.

use std::time::Duration;

use super::{Findings, policy::bounded};
use crate::config::{ListenerLimits, SidecarConfig};

/// Least bytes of a head: a request line, a host and a trace need so much.
const LEAST_HEAD: u64 = 1024;

/// Most: hyper holds a head in memory until it is complete.
const MOST_HEAD: u64 = 1024 * 1024;

/// More open files than a process is ever given.
const MOST_CONNECTIONS: usize = 1_000_000;

/// Each has its place in memory before the head is read; a head of 1 MiB has no more
/// than a few times as many.
const MOST_HEADERS: usize = 10_000;

/// Each may hold a request with its buffers; hyper's own default is 200.
const MOST_STREAMS: usize = 100_000;

pub(super) fn check(config: &SidecarConfig, found: &mut Findings) {
    if let Some(inbound) = &config.inbound {
        found.under("inbound.limits", |found| {
            limits(&inbound.limits, found);
            found.expect(!inbound.limits.allow_connect, "allow_connect", || {
                "a tunnel leads to a cluster, and only the application stands behind `inbound`: allow it in `outbound.limits`".to_owned()
            });
        });
    }
    if let Some(outbound) = &config.outbound {
        found.under("outbound.limits", |found| limits(&outbound.limits, found));
    }
}

fn limits(limits: &ListenerLimits, found: &mut Findings) {
    for (key, number, most) in [
        ("max_connections", limits.max_connections, MOST_CONNECTIONS),
        ("max_headers", limits.max_headers, MOST_HEADERS),
        ("max_streams", limits.max_streams as usize, MOST_STREAMS),
    ] {
        found.expect(number > 0, key, || {
            "0 lets nothing through: expected 1 or more".to_owned()
        });
        found.expect(number <= most, key, || {
            format!("{number}: expected at most {most}")
        });
    }
    found.expect(
        (LEAST_HEAD..=MOST_HEAD).contains(&limits.max_head),
        "max_head",
        || format!("{} bytes: expected 1KiB to 1MiB", limits.max_head),
    );
    for (key, time) in [
        ("head_timeout", Some(limits.head_timeout)),
        ("idle_timeout", limits.idle_timeout),
        ("max_connection_age", limits.max_connection_age),
    ] {
        found.expect(time != Some(Duration::ZERO), key, || {
            "no time at all closes every connection: expected more than 0s".to_owned()
        });
        bounded(key, time.unwrap_or_default(), found);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{SidecarConfig, check_sidecar};

    #[test]
    fn limits_that_let_nothing_through_or_everything_are_reported() {
        for (limit, key) in [
            ("max_connections: 0", "max_connections"),
            ("max_connections: 99999999999", "max_connections"),
            ("max_headers: 0", "max_headers"),
            ("max_headers: 1000000", "max_headers"),
            ("max_streams: 0", "max_streams"),
            ("max_head: 1B", "max_head"),
            ("head_timeout: 0s", "head_timeout"),
            ("idle_timeout: 0s", "idle_timeout"),
            ("idle_timeout: 2years", "idle_timeout"),
            ("max_connection_age: 0s", "max_connection_age"),
        ] {
            let yaml = format!(
                "{{ service: a, instance: a-1, admin: '127.0.0.1:0', metrics: '127.0.0.1:0',
                   outbound: {{ listen: '127.0.0.1:0', limits: {{ {limit} }} }} }}"
            );
            let problems = check_sidecar(&SidecarConfig::parse(&yaml).unwrap());
            let keys: Vec<_> = problems.iter().map(|problem| &*problem.key).collect();
            assert_eq!(keys, [format!("outbound.limits.{key}")], "{limit}");
        }
    }
}
