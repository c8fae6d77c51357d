//! Verifies an upstream by its SPIFFE ID, which is a URI and so no name that the
//! ordinary verification could compare.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{files::Unusable, identity::Identity, provider};

/// The certificate is sound, but it is somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is that of `{found}`, expected `{expected}`")]
pub(super) struct WrongIdentity {
    expected: Arc<str>,
    found: String,
}

/// The ordinary verification: the chain, and a DNS name or address.
pub(super) fn by_name(roots: Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    match verifier {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(Unusable::new("ca", error.to_string())),
    }
}

/// Verifies the chain, then the one SPIFFE ID of the certificate.
#[derive(Debug)]
pub(super) struct ByIdentity {
    expected: Arc<str>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ByIdentity {
    pub(super) fn new(expected: &str, roots: Arc<RootCertStore>) -> Arc<Self> {
        Arc::new(Self {
            expected: expected.into(),
            roots,
            provider: provider(),
        })
    }
}

impl ServerCertVerifier for ByIdentity {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let identity = Identity::read(end_entity).ok_or(CertificateError::BadEncoding)?;
        if identity.spiffe.as_deref() == Some(&*self.expected) {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongIdentity {
            expected: Arc::clone(&self.expected),
            found: identity.name().unwrap_or("nobody").to_owned(),
        };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into()) // 1.3 only
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
