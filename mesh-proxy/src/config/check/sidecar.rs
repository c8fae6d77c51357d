//! Who the sidecar is and where it listens.

use std::{net::SocketAddr, path::Path};

use super::{Findings, is_name, name_expected, tls};
use crate::config::{AccessLog, SidecarConfig, TelemetryConfig};

/// Most workers of one sidecar: more threads than the cores of a large machine help nobody.
const MAX_WORKERS: usize = 64;

pub(super) fn check(config: &SidecarConfig, found: &mut Findings) {
    for (key, name) in [("service", &config.service), ("instance", &config.instance)] {
        found.expect(is_name(name), key, || name_expected(name));
    }
    if let Some(url) = &config.control {
        found.expect(is_http_url(url), "control", || {
            url_expected(url, "http://127.0.0.1:4090")
        });
    }
    found.expect(!config.guest || config.control.is_some(), "guest", || {
        "there is no console to be a guest of: set `control`, or remove this".to_owned()
    });
    found.expect(
        (1..=MAX_WORKERS).contains(&config.workers),
        "workers",
        || format!("{} workers: expected 1 to {MAX_WORKERS}", config.workers),
    );
    found.expect(
        config.inbound.is_some() || config.outbound.is_some(),
        "inbound",
        || {
            "neither `inbound` nor `outbound` is given: the sidecar would have nothing to do"
                .to_owned()
        },
    );
    addresses(config, found);
    if let Some(settings) = config.inbound.as_ref().and_then(|it| it.tls.as_ref()) {
        found.under("inbound", |found| {
            found.under("tls", |found| tls::listener_files(settings, found));
        });
    }
    if let Some(log) = &config.access_log {
        found.under("access_log", |found| access_log(log, found));
    }
    found.under("telemetry", |found| telemetry(&config.telemetry, found));
}

/// With several workers the kernel would let two listeners have one port, and spread
/// connections over both.
fn addresses(config: &SidecarConfig, found: &mut Findings) {
    let listeners = [
        (
            "inbound.listen",
            config.inbound.as_ref().map(|it| it.listen),
        ),
        (
            "outbound.listen",
            config.outbound.as_ref().map(|it| it.listen),
        ),
        ("admin", Some(config.admin)),
        ("metrics", Some(config.metrics)),
    ];
    for (index, (key, address)) in listeners.iter().enumerate() {
        let same = listeners[..index]
            .iter()
            .find(|(_, other)| other.zip(*address).is_some_and(|(a, b)| meets(a, b)));
        if let (Some((other, _)), Some(address)) = (same, address) {
            found.report(
                key,
                format!("{address} is taken by `{other}`: give each listener a port of its own"),
            );
        }
    }
    let Some(inbound) = &config.inbound else {
        return;
    };
    let application = inbound.application;
    found.expect(application.port() != 0, "inbound.application", || {
        "port 0 is no port: expected the one on which the application listens".to_owned()
    });
    for (key, listener) in listeners {
        let loops = listener.is_some_and(|listener| meets(listener, application));
        found.expect(!loops, "inbound.application", || {
            format!("{application} is `{key}` of this sidecar: requests would go round in circles; expected where the application listens")
        });
    }
}

/// Whether connections to one may arrive at the other.
fn meets(a: SocketAddr, b: SocketAddr) -> bool {
    let one_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && one_host
}

fn access_log(log: &AccessLog, found: &mut Findings) {
    found.expect((0.0..=1.0).contains(&log.sample), "sample", || {
        let sample = log.sample;
        format!(
            "{sample} is no share: expected 0 (only what failed, was retried or faulted) to 1 (all)"
        )
    });
    let folder = log
        .to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    found.expect(folder.is_none_or(Path::is_dir), "to", || {
        let path = log.to.display();
        format!("{path}: its folder does not exist: make it, or write to standard output with `-`")
    });
    found.expect(!log.to.is_dir(), "to", || {
        format!(
            "{} is a folder: expected a file, or `-` for standard output",
            log.to.display()
        )
    });
}

fn telemetry(config: &TelemetryConfig, found: &mut Findings) {
    let ratio = config.sample_ratio;
    found.expect((0.0..=1.0).contains(&ratio), "sample_ratio", || {
        format!("{ratio} is no share: expected 0 (none) to 1 (all)")
    });
    if let Some(url) = &config.otlp {
        found.expect(is_http_url(url), "otlp", || {
            url_expected(url, "http://127.0.0.1:4317")
        });
    }
}

fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|url| url.scheme_str() == Some("http") && url.host().is_some())
}

fn url_expected(text: &str, example: &str) -> String {
    format!("`{text}` is no base URL that can be used: expected `http://host:port`, as `{example}`")
}

#[cfg(test)]
mod tests {
    use crate::config::{SidecarConfig, check_sidecar};

    fn keys(listen: &str, application: &str, outbound: &str) -> Vec<String> {
        let yaml = format!(
            "{{ service: a, instance: a-1, admin: '127.0.0.1:1', metrics: '127.0.0.1:2',
               inbound: {{ listen: '{listen}', application: '{application}' }},
               outbound: {{ listen: '{outbound}' }} }}"
        );
        let problems = check_sidecar(&SidecarConfig::parse(&yaml).unwrap());
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn listeners_do_not_share_a_port_and_the_application_is_none_of_them() {
        let (one, two, app) = ("127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5");
        assert_eq!(keys(one, app, two), Vec::<String>::new());
        assert_eq!(keys(one, app, one), ["outbound.listen"]);
        assert_eq!(keys("0.0.0.0:1", app, two), ["admin"]);
        assert_eq!(keys(one, one, two), ["inbound.application"]);
        assert_eq!(keys("0.0.0.0:5", app, two), ["inbound.application"]);
        assert_eq!(keys(one, "127.0.0.1:0", two), ["inbound.application"]);
        assert_eq!(
            keys("127.0.0.1:0", app, "127.0.0.1:0"),
            Vec::<String>::new()
        );
    }
}
