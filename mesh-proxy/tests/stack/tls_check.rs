//! What the check of a configuration says about TLS.

use std::fs;

use mesh_proxy::config::{ListenerTls, SidecarConfig, UpstreamTls, check_sidecar};

use crate::{
    pki::{Pki, id, upstream},
    support::{FREE, config, policy},
};

/// An application that nobody asks.
const NOWHERE: std::net::SocketAddr = std::net::SocketAddr::new(FREE.ip(), 9);

fn with_listener(tls: ListenerTls) -> SidecarConfig {
    let mut config = config("payments", Some(NOWHERE), policy("{}", &[]));
    config.inbound.as_mut().unwrap().tls = Some(tls);
    config
}

fn with_upstream(tls: UpstreamTls) -> SidecarConfig {
    let yaml = "clusters: { payments: { endpoints: ['127.0.0.1:1'] } }";
    let mut config = config("orders", None, policy(yaml, &[]));
    config.policy.clusters.get_mut("payments").unwrap().tls = Some(tls);
    config
}

fn assert_only(config: &SidecarConfig, key: &str, part: &str) {
    let problems = check_sidecar(config);
    let [problem] = &problems[..] else {
        panic!("expected one problem, at `{key}`: {problems:#?}");
    };
    assert_eq!(problem.key, key);
    assert!(problem.message.contains(part), "`{part}` in {problem}");
}

#[test]
fn sound_files_have_no_problems() {
    let pki = Pki::new();
    let pair = pki.service("payments");
    assert_eq!(
        check_sidecar(&with_listener(pair.listener(Some(pki.ca())))),
        []
    );
    let mut tls = upstream(pki.ca(), Some(&pair));
    tls.identity = Some(id("payments"));
    tls.server_name = Some("payments.example.org".to_owned());
    assert_eq!(check_sidecar(&with_upstream(tls)), []);
}

#[test]
fn files_that_are_missing_or_something_else_are_named_with_what_was_expected() {
    let pki = Pki::new();
    let (fine, text) = (pki.service("payments"), pki.path("text"));
    fs::write(&text, "hello").unwrap();
    let mut tls = fine.listener(None);
    tls.certificate = pki.path("gone.pem");
    assert_only(
        &with_listener(tls),
        "inbound.tls.certificate",
        "gone.pem: cannot be read",
    );
    let mut tls = fine.listener(None);
    tls.certificate = fine.key.clone();
    assert_only(
        &with_listener(tls),
        "inbound.tls.certificate",
        "holds no certificate",
    );
    let mut tls = fine.listener(None);
    tls.key = text.clone();
    assert_only(&with_listener(tls), "inbound.tls.key", "BEGIN PRIVATE KEY");
    let tls = fine.listener(Some(text));
    assert_only(
        &with_listener(tls),
        "inbound.tls.client_ca",
        "BEGIN CERTIFICATE",
    );
    let tls = upstream(pki.path("gone.pem"), None);
    let key = "policy.clusters.payments.tls.ca";
    assert_only(&with_upstream(tls), key, "gone.pem: cannot be read");
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let pki = Pki::new();
    let mut tls = pki.service("payments").listener(None);
    tls.key = pki.service("orders").key;
    assert_only(&with_listener(tls), "inbound.tls.key", "not the key of");
}

#[test]
fn half_a_pair_is_found() {
    let pki = Pki::new();
    let pair = pki.service("orders");
    let mut tls = upstream(pki.ca(), Some(&pair));
    tls.certificate = None;
    let key = "policy.clusters.payments.tls.key";
    assert_only(&with_upstream(tls), key, "without its `certificate`");
    let mut tls = upstream(pki.ca(), Some(&pair));
    tls.key = None;
    let key = "policy.clusters.payments.tls.certificate";
    assert_only(&with_upstream(tls), key, "without its `key`");
}

#[test]
fn names_that_no_certificate_carries_are_found() {
    let pki = Pki::new();
    let mut tls = upstream(pki.ca(), None);
    tls.identity = Some("payments".to_owned());
    let key = "policy.clusters.payments.tls.identity";
    assert_only(&with_upstream(tls), key, "spiffe://");
    let mut tls = upstream(pki.ca(), None);
    tls.server_name = Some("pay ments".to_owned());
    let key = "policy.clusters.payments.tls.server_name";
    assert_only(&with_upstream(tls), key, "pay ments");
}
