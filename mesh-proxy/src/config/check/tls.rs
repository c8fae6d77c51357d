//! TLS: what is written, and the files that it names.

use rustls::pki_types::ServerName;

use super::Findings;
use crate::{
    config::{ListenerTls, Policy, UpstreamTls},
    tls::{Unusable, check_pair, check_roots, spiffe_problem},
};

/// Settings of a cluster, without a look at its files: the console has others.
pub(super) fn upstream(tls: &UpstreamTls, found: &mut Findings) {
    let [certificate, key] = [&tls.certificate, &tls.key].map(Option::is_some);
    found.expect(!key || certificate, "key", || {
        "a `key` without its `certificate`: give both, or neither to show no certificate".to_owned()
    });
    found.expect(!certificate || key, "certificate", || {
        "a `certificate` without its `key`: give both, or neither to show no certificate".to_owned()
    });
    if let Some(problem) = tls.identity.as_deref().and_then(spiffe_problem) {
        found.report("identity", problem);
    }
    if let Some(name) = &tls.server_name {
        found.expect(ServerName::try_from(name.as_str()).is_ok(), "server_name", || {
            format!("`{name}` is no name that a certificate can carry: expected a DNS name or an address, as `payments.example.org`")
        });
    }
}

/// The files of a listener.
pub(super) fn listener_files(tls: &ListenerTls, found: &mut Findings) {
    report(check_pair(&tls.certificate, &tls.key), found);
    if let Some(path) = &tls.client_ca {
        report(check_roots("client_ca", path), found);
    }
}

/// The files of all clusters.
pub(super) fn policy_files(policy: &Policy, found: &mut Findings) {
    found.under("clusters", |found| {
        for (name, cluster) in &policy.clusters {
            if let Some(tls) = &cluster.tls {
                found.under(name, |found| {
                    found.under("tls", |found| upstream_files(tls, found));
                });
            }
        }
    });
}

fn upstream_files(tls: &UpstreamTls, found: &mut Findings) {
    report(check_roots("ca", &tls.ca), found);
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        report(check_pair(certificate, key), found);
    }
}

fn report(checked: Result<(), Unusable>, found: &mut Findings) {
    if let Err(unusable) = checked {
        found.report(unusable.key, unusable.message);
    }
}
