//! Certificates and keys from PEM files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    Error, InconsistentKeys, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use super::{identity::Identity, provider};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {message}")]
pub(crate) struct Unusable {
    /// Key of the file in the configuration, as `client_ca`.
    pub(crate) key: &'static str,
    /// What is wrong and how it is mended.
    pub(crate) message: String,
}

impl Unusable {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key, message }
    }
}

/// A certificate that this sidecar can show.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) certified: CertifiedKey,
    /// When it ends.
    pub(super) ends: SystemTime,
}

/// Reports what is wrong with a certificate and its key.
pub(crate) fn check_pair(certificate: &Path, key: &Path) -> Result<(), Unusable> {
    own(certificate, key).map(drop)
}

/// Reports what is wrong with a file of authorities that stands under `key`.
pub(crate) fn check_roots(key: &'static str, path: &Path) -> Result<(), Unusable> {
    roots(key, path).map(drop)
}

/// Reads a certificate chain and the key that belongs to it.
pub(super) fn own(certificate: &Path, key: &Path) -> Result<Own, Unusable> {
    let chain = certificates("certificate", certificate)?;
    let identity = Identity::read(&chain[0]).ok_or_else(|| {
        let path = certificate.display();
        Unusable::new("certificate", format!("{path}: the first certificate cannot be read: expected X.509, the sidecar's own certificate first"))
    })?;
    let private = private_key(key)?;
    let certified = CertifiedKey::from_der(chain, private, &provider())
        .map_err(|error| unfit(&error, certificate, key))?;
    Ok(Own {
        certified,
        ends: identity.ends,
    })
}

fn unfit(error: &Error, certificate: &Path, key: &Path) -> Unusable {
    let (certificate, path) = (certificate.display(), key.display());
    let message = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
            "{path}: this is not the key of the first certificate in {certificate}: expected the pair that was made together"
        ),
        other => format!(
            "{path}: the key cannot be used ({other}): expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
        ),
    };
    Unusable::new("key", message)
}

/// Reads the authorities that are trusted.
pub(super) fn roots(key: &'static str, path: &Path) -> Result<Arc<RootCertStore>, Unusable> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(key, path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            let (number, path) = (index + 1, path.display());
            Unusable::new(
                key,
                format!(
                    "{path}: certificate {number} is no authority that can be trusted: {error}"
                ),
            )
        })?;
    }
    Ok(Arc::new(roots))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let text = read(key, path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let path = path.display();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Unusable::new(
            key,
            format!("{path}: holds no certificate: expected PEM, `-----BEGIN CERTIFICATE-----`"),
        )),
        Err(error) => Err(Unusable::new(
            key,
            format!("{path}: is no sound PEM: {error}"),
        )),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    let text = read("key", path)?;
    let path = path.display();
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let message = match error {
            pem::Error::NoItemsFound => format!(
                "{path}: holds no private key: expected PEM without a passphrase, `-----BEGIN PRIVATE KEY-----`"
            ),
            error => format!("{path}: is no sound PEM: {error}"),
        };
        Unusable::new("key", message)
    })
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|cause| {
        let path = path.display();
        Unusable::new(key, format!("{path}: cannot be read: {cause}"))
    })
}

/// What tells that files were replaced, without reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let one = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        Self(paths.into_iter().map(one).collect())
    }
}
