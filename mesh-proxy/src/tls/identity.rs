//! Who a certificate speaks for.

use std::time::{Duration, SystemTime};

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::Failure;

/// Scheme of a SPIFFE ID.
const SCHEME: &str = "spiffe://";

/// Most bytes of a SPIFFE ID and of its trust domain (SPIFFE-ID, section 2.3).
const MAX_ID: usize = 2048;
const MAX_DOMAIN: usize = 255;

/// Names and end of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The SPIFFE ID; none when there is no URI or more than one, as SPIFFE has it.
    pub(super) spiffe: Option<String>,
    /// The first DNS name.
    pub(super) dns: Option<String>,
    /// When it ends.
    pub(super) ends: SystemTime,
}

impl Identity {
    /// Reads an X.509 certificate; none: it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut uris = Vec::new();
        let mut dns = None;
        // A certificate with two lists of names has none.
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => uris.push(*uri),
                GeneralName::DNSName(name) if dns.is_none() => dns = Some((*name).to_owned()),
                _ => {}
            }
        }
        let spiffe = match uris[..] {
            [uri] if spiffe_problem(uri).is_none() => Some(uri.to_owned()),
            _ => None,
        };
        let ends = certificate.validity().not_after.timestamp();
        Some(Self {
            spiffe,
            dns,
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(ends).unwrap_or(0)),
        })
    }

    /// The name that stands for the certificate in spans.
    pub(super) fn name(&self) -> Option<&str> {
        self.spiffe.as_deref().or(self.dns.as_deref())
    }

    /// The service in the mesh: what follows `/sa/` in a SPIFFE ID, else the DNS name.
    pub(super) fn service(&self) -> Option<&str> {
        match &self.spiffe {
            Some(id) => service_of(id),
            None => self.dns.as_deref(),
        }
    }
}

/// A resumed session shows the certificate that it was begun with, and nobody looks
/// at the time again but here.
pub(super) fn still_valid(identity: Option<&Identity>) -> Result<(), Failure> {
    match identity {
        Some(identity) if identity.ends <= SystemTime::now() => Err(Failure::expired()),
        _ => Ok(()),
    }
}

/// The last segment of `spiffe://…/sa/NAME`.
fn service_of(id: &str) -> Option<&str> {
    let (before, name) = id.rsplit_once('/')?;
    before.ends_with("/sa").then_some(name)
}

/// Says why a text is no SPIFFE ID; none: it is one.
pub(crate) fn spiffe_problem(text: &str) -> Option<String> {
    let expected =
        "expected `spiffe://TRUST-DOMAIN/PATH`, as `spiffe://example.org/ns/default/sa/payments`";
    let wrong = |what: &str| Some(format!("`{text}` is no SPIFFE ID: {what}; {expected}"));
    let Some(rest) = text.strip_prefix(SCHEME) else {
        return wrong("it does not begin with `spiffe://`");
    };
    if text.len() > MAX_ID {
        return wrong("it is longer than 2048 bytes");
    }
    let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
    let in_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if domain.is_empty() || domain.len() > MAX_DOMAIN || !domain.chars().all(in_domain) {
        return wrong("a trust domain is made of lower-case letters, digits, `-`, `_` and `.`");
    }
    let in_path = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(in_path);
    if rest.len() > domain.len() && !path.split('/').all(segment) {
        return wrong(
            "the parts of its path are made of letters, digits, `-`, `_` and `.`, and none is empty",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{service_of, spiffe_problem};

    #[test]
    fn the_service_is_what_follows_sa() {
        for (id, service) in [
            (
                "spiffe://example.org/ns/default/sa/payments",
                Some("payments"),
            ),
            ("spiffe://example.org/sa/payments", Some("payments")),
            ("spiffe://example.org/sa/payments/more", None),
            ("spiffe://example.org/payments", None),
            ("spiffe://example.org", None),
        ] {
            assert_eq!(service_of(id), service, "{id}");
        }
    }

    #[test]
    fn what_is_no_spiffe_id_is_told_with_the_reason() {
        for fine in [
            "spiffe://example.org",
            "spiffe://example.org/ns/default/sa/payments",
            "spiffe://a_b-c.d/X",
        ] {
            assert_eq!(spiffe_problem(fine), None);
        }
        for (wrong, part) in [
            ("payments", "does not begin"),
            ("SPIFFE://example.org/a", "does not begin"),
            ("spiffe:///a", "trust domain"),
            ("spiffe://Example.org/a", "trust domain"),
            ("spiffe://example.org:80/a", "trust domain"),
            ("spiffe://example.org/", "path"),
            ("spiffe://example.org/a//b", "path"),
            ("spiffe://example.org/a/../b", "path"),
            ("spiffe://example.org/a?b", "path"),
        ] {
            let problem = spiffe_problem(wrong).unwrap();
            assert!(
                problem.contains(part) && problem.contains(wrong),
                "{problem}"
            );
        }
    }
}
