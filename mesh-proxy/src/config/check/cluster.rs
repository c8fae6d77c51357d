//! Clusters.

use super::{Findings, is_name, name_expected, policy::positive, tls};
use crate::config::Cluster;

pub(super) fn check(name: &str, cluster: &Cluster, found: &mut Findings) {
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
    if let Some(settings) = &cluster.tls {
        found.under("tls", |found| tls::upstream(settings, found));
    }
}

fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let named = !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']);
        (bracketed || named) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}
