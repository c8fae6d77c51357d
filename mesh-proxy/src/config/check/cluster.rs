//! Clusters.

use http::{HeaderName, uri::PathAndQuery};

use super::{
    Findings, is_name, name_expected,
    policy::{bounded, positive},
    tls,
};
use crate::config::{Balance, Cluster, Dns, DnsRecord, HealthCheck, Probe, SuccessRate};

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
    ejection(cluster, found);
    balance(cluster, found);
    if let Some(settings) = &cluster.dns {
        found.under("dns", |found| dns(settings, found));
    }
    if let Some(settings) = &cluster.health_check {
        found.under("health_check", |found| health_check(settings, found));
    }
    connections(cluster, found);
    if let Some(settings) = &cluster.tls {
        found.under("tls", |found| tls::upstream(settings, found));
    }
}

fn connections(cluster: &Cluster, found: &mut Findings) {
    positive("connect_timeout", cluster.connect_timeout, found);
    positive("idle_timeout", cluster.idle_timeout, found);
    for (key, time) in [
        ("max_connection_age", cluster.max_connection_age),
        ("keep_alive", cluster.keep_alive),
    ] {
        if let Some(time) = time {
            positive(key, time, found);
        }
    }
    found.expect(
        cluster.max_connections != Some(0),
        "max_connections",
        || "0 lets no request through: expected 1 or more, or leave it out for no cap".to_owned(),
    );
}

fn ejection(cluster: &Cluster, found: &mut Findings) {
    let share = cluster.max_ejected;
    found.expect((0.0..=1.0).contains(&share), "max_ejected", || {
        format!("{share} is no share: expected 0 (none) to 1 (all)")
    });
    positive("ejection", cluster.ejection, found);
    if let Some(longest) = cluster.max_ejection {
        bounded("max_ejection", longest, found);
        let first = cluster.ejection;
        found.expect(longest >= first, "max_ejection", || {
            format!("{longest:?} is shorter than `ejection`, {first:?}: expected at least as much")
        });
    }
    if let Some(limit) = &cluster.failure_share {
        found.under("failure_share", |found| {
            let share = limit.share;
            found.expect(share > 0.0 && share <= 1.0, "share", || {
                format!("{share} is no share of failures: expected more than 0, at most 1")
            });
            found.expect(limit.minimum > 0, "minimum", || {
                "0 would eject for the first failure: expected 1 or more".to_owned()
            });
            positive("window", limit.window, found);
        });
    }
    if let Some(rate) = &cluster.success_rate {
        found.under("success_rate", |found| success_rate(rate, found));
    }
}

fn success_rate(rate: &SuccessRate, found: &mut Findings) {
    let deviations = rate.deviations;
    let sound = deviations.is_finite() && deviations > 0.0;
    found.expect(sound, "deviations", || {
        format!("{deviations} is no distance: expected more than 0, as 1.9")
    });
    found.expect(rate.minimum > 0, "minimum", || {
        "0 would compare endpoints without attempts: expected 1 or more".to_owned()
    });
    let endpoints = rate.minimum_endpoints;
    found.expect(endpoints >= 2, "minimum_endpoints", || {
        format!("{endpoints} cannot be compared: expected 2 or more")
    });
    // Of n values none lies further below the mean than this: such a policy never ejects.
    let furthest = ((endpoints.max(2) - 1) as f64).sqrt();
    found.expect(!sound || deviations < furthest, "deviations", || {
        format!(
            "among {endpoints} endpoints none can be {deviations} standard deviations below the mean: expected less than {furthest:.2}, or a larger `minimum_endpoints`"
        )
    });
    positive("window", rate.window, found);
}

fn balance(cluster: &Cluster, found: &mut Findings) {
    let Balance::ConsistentHash { header } = &cluster.balance else {
        if let Some(time) = cluster.slow_start {
            positive("slow_start", time, found);
        }
        return;
    };
    let named = HeaderName::from_bytes(header.as_bytes()).is_ok();
    found.under("balance", |found| {
        found.expect(named, "consistent-hash.header", || {
            format!("`{header}` is no name of a header: expected one as `x-user-id`")
        });
    });
    found.expect(cluster.slow_start.is_none(), "slow_start", || {
        "has no effect with consistent-hash, where the key alone decides: leave one of them out"
            .to_owned()
    });
}

fn dns(settings: &Dns, found: &mut Findings) {
    let name = &settings.name;
    found.expect(is_host(name), "name", || {
        format!("`{name}` is no name to look up: expected one as `payments.default.svc.cluster.local`, without scheme and port")
    });
    let address = settings.record != DnsRecord::Srv;
    match settings.port {
        None | Some(0) if address => found.report(
            "port",
            "is missing: addresses say nothing of ports; expected 1 to 65535, or `record: srv`",
        ),
        Some(_) if !address => found.report(
            "port",
            "has no effect: SRV records carry the port; leave it out",
        ),
        _ => {}
    }
    positive("min_ttl", settings.min_ttl, found);
    let (least, most) = (settings.min_ttl, settings.max_ttl);
    bounded("max_ttl", most, found);
    found.expect(least <= most, "max_ttl", || {
        format!("{most:?} is shorter than `min_ttl`, {least:?}: expected at least as much")
    });
    found.expect(
        settings.server.is_none_or(|it| it.port() != 0),
        "server",
        || "port 0 is no port: expected the name server's, mostly 53".to_owned(),
    );
}

fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) // lengths of RFC 1035
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn health_check(settings: &HealthCheck, found: &mut Findings) {
    match &settings.probe {
        Probe::Http(path) => {
            let sound = path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
            found.expect(sound, "http", || {
                format!("`{path}` is no path: expected one as `/health`")
            });
        }
        Probe::Tcp(on) => found.expect(*on, "tcp", || {
            "`false` would check nothing: leave `health_check` out".to_owned()
        }),
        Probe::Grpc(_) => {}
    }
    positive("interval", settings.interval, found);
    positive("timeout", settings.timeout, found);
    for (key, value) in [
        ("unhealthy_after", settings.unhealthy_after),
        ("healthy_after", settings.healthy_after),
    ] {
        found.expect(value > 0, key, || {
            "0 probes prove nothing: expected 1 or more".to_owned()
        });
    }
}

fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let named = !host.is_empty() && !host.contains([':', '/', '@', ' ', '[', ']']);
        (bracketed || named) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

#[cfg(test)]
mod tests;
