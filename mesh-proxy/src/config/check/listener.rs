//! What listeners bear.

use std::time::Duration;

use super::Findings;
use crate::config::{ListenerLimits, SidecarConfig};

/// Least bytes of a head: a request line, a host and a trace need so much.
const LEAST_HEAD: u64 = 1024;

/// Most: hyper holds a head in memory until it is complete.
const MOST_HEAD: u64 = 1024 * 1024;

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
    for (key, number) in [
        ("max_connections", limits.max_connections),
        ("max_headers", limits.max_headers),
        ("max_streams", limits.max_streams as usize),
    ] {
        found.expect(number > 0, key, || {
            "0 lets nothing through: expected 1 or more".to_owned()
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
    }
}
