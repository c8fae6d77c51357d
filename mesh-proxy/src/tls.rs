//! TLS of connections: TLS 1.3 only, with certificates from files that are read again
//! when they change.
//!
//! [`ServerTls`] is the listener's side and [`ClientTls`] the side towards an upstream.
//! Both keep what they have read behind one pointer that is replaced as a whole, so
//! that a new certificate serves the next connection and disturbs none that is open.
//! Sessions are resumed; a resumed session is never older than the certificates
//! that it was begun with.

mod client;
mod failure;
mod files;
mod identity;
mod refresh;
mod server;
mod stream;
mod verify;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub(crate) use client::{ClientTls, Offer};
pub(crate) use failure::{Failure, rejected};
pub(crate) use files::{Unusable, check_pair, check_roots};
pub(crate) use identity::spiffe_problem;
pub(crate) use refresh::{keep_fresh, refresh};
pub(crate) use server::{Accepted, Peer, ServerTls};
pub(crate) use stream::Stream;

/// What the two sides agree to speak (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/2.
    H2,
    /// HTTP/1.1.
    Http1,
}

impl Alpn {
    /// As it stands in the handshake.
    fn wire(self) -> &'static [u8] {
        match self {
            Self::H2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }

    fn read(wire: Option<&[u8]>) -> Option<Self> {
        [Self::H2, Self::Http1]
            .into_iter()
            .find(|alpn| Some(alpn.wire()) == wire)
    }

    /// Both, the better first.
    fn both() -> Vec<Vec<u8>> {
        vec![Self::H2.wire().to_vec(), Self::Http1.wire().to_vec()]
    }
}

/// Version of every session, as the semantic conventions write it.
const VERSION: &str = "1.3";

/// Passed on explicitly: with two providers in a process rustls would refuse to choose.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}
