//! Who the sidecar is and where it listens.

use std::path::Path;

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
