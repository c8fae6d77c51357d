//! Why a handshake failed, as people and metrics read it.

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{AlertDescription, CertificateError, Error};

use crate::error::ProxyError;

/// A handshake that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What to tell people.
    pub(crate) cause: io::Error,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A certificate is missing, or comes from no authority that is trusted.
    Untrusted,
    /// A certificate has ended, or has not begun.
    Expired,
    /// A sound certificate, but somebody else's.
    Identity,
    /// It took too long.
    Timeout,
    /// Anything else: no TLS at all, another version, a broken connection.
    Other,
}

impl Kind {
    /// Label of the handshake's metric.
    pub(crate) fn result(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::Identity => "wrong_identity",
            Self::Timeout => "timeout",
            Self::Other => "error",
        }
    }
}

impl Failure {
    pub(super) fn new(kind: Kind, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            cause: io::Error::other(cause),
        }
    }

    /// The same as the failure of an attempt at `endpoint`.
    pub(crate) fn at(self, endpoint: Arc<str>) -> ProxyError {
        let cause = self.cause;
        match self.kind {
            Kind::Identity => ProxyError::TlsIdentity { endpoint, cause },
            _ => ProxyError::TlsHandshake { endpoint, cause },
        }
    }

    pub(super) fn expired() -> Self {
        Self::new(
            Kind::Expired,
            "the certificate of the session that was to be resumed has expired",
        )
    }

    pub(super) fn no_certificate() -> Self {
        let what = "the files of the configuration cannot be used: the log says why";
        Self::new(Kind::Other, what)
    }

    pub(super) fn timeout() -> Self {
        Self::new(Kind::Timeout, "the TLS handshake took too long")
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        let Some(error) = tls_error(&cause) else {
            return Self {
                kind: Kind::Other,
                cause,
            };
        };
        let kind = kind_of(error);
        match error {
            // rustls shows what it does not know in its programmer's form.
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                Self::new(kind, other.0.to_string())
            }
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => Self::new(
                kind,
                "the certificate comes from no authority that is trusted",
            ),
            Error::NoCertificatesPresented => Self::new(kind, "the caller shows no certificate"),
            Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                Self::new(kind, "the peer does not speak TLS 1.3")
            }
            Error::AlertReceived(alert) => {
                Self::new(kind, format!("the peer refused the handshake: {alert:?}"))
            }
            Error::InvalidMessage(_) => Self::new(kind, "the peer does not speak TLS on this port"),
            _ => Self { kind, cause },
        }
    }
}

fn tls_error(cause: &io::Error) -> Option<&Error> {
    cause.get_ref()?.downcast_ref()
}

fn kind_of(error: &Error) -> Kind {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Kind::Expired,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } | Bad::Other(_) => {
                Kind::Identity
            }
            _ => Kind::Untrusted,
        },
        Error::NoCertificatesPresented
        | Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) => Kind::Untrusted,
        Error::AlertReceived(Alert::CertificateExpired) => Kind::Expired,
        _ => Kind::Other,
    }
}

/// Whether a connection broke because the peer refused this sidecar's certificate: in
/// TLS 1.3 a server says so only after the client believes that the handshake is done.
pub(crate) fn rejected(error: &hyper::Error) -> Option<Failure> {
    let cause: &io::Error = error.source()?.downcast_ref()?;
    let kind = match tls_error(cause) {
        Some(error @ Error::AlertReceived(_)) => kind_of(error),
        // HTTP/2 passes on the text and the kind of the error alone, and nothing but TLS
        // has errors of this kind below HTTP.
        None if cause.kind() == io::ErrorKind::InvalidData => Kind::Untrusted,
        _ => return None,
    };
    let told = format!("the peer refused the handshake: {cause}");
    Some(Failure::new(kind, told))
}
