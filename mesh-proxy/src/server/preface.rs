//! Which HTTP a peer speaks: HTTP/2 begins with a line that no HTTP/1 request can be.

use std::{future::poll_fn, io};

use tokio::time::timeout;

use super::{Connection, ending::Closed, http1::poll_bytes, wire::Io};
use crate::{stack::Stack, tls::Alpn};

/// RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known about the protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing: the first bytes tell.
    Unknown,
    /// HTTP/1, agreed on in the TLS handshake.
    Http1,
    /// HTTP/2, agreed on in the TLS handshake.
    Http2,
}

impl From<Alpn> for Spoken {
    fn from(alpn: Alpn) -> Self {
        match alpn {
            Alpn::H2 => Self::Http2,
            Alpn::Http1 => Self::Http1,
        }
    }
}

/// Waits for the first bytes and says what is spoken. Nothing but the socket is held
/// until they come.
pub(super) async fn read<I: Io, S: Stack>(
    io: &mut I,
    spoken: Spoken,
    connection: &Connection<S>,
) -> Result<(Spoken, Vec<u8>), Closed> {
    let patience = connection.listening.limits.head_timeout;
    tokio::select! {
        biased;
        () = connection.drain.begin.cancelled() => Err(Closed::Drain),
        read = timeout(patience, first_bytes(io, spoken)) => match read {
            Ok(Ok(Some(first))) => Ok(first),
            Ok(Ok(None)) => Err(Closed::Done),
            Ok(Err(_)) => Err(Closed::Broken),
            Err(_) => Err(Closed::SlowHead),
        },
    }
}

async fn first_bytes<I: Io>(io: &mut I, spoken: Spoken) -> io::Result<Option<(Spoken, Vec<u8>)>> {
    let mut first = Vec::new();
    loop {
        let more = poll_fn(|cx| poll_bytes(io, cx)).await?;
        if more.is_empty() {
            return Ok(None);
        }
        if first.is_empty() {
            first = more;
        } else {
            first.extend_from_slice(&more);
        }
        if let Some(spoken) = told(spoken, &first) {
            return Ok(Some((spoken, first)));
        }
    }
}

/// None: there must be more to tell. A peer that agreed on HTTP/2 and then says
/// something else is hyper's to refuse.
fn told(spoken: Spoken, first: &[u8]) -> Option<Spoken> {
    let begins = PREFACE.starts_with(&first[..first.len().min(PREFACE.len())]);
    match spoken {
        Spoken::Http1 => Some(Spoken::Http1),
        Spoken::Http2 => (!begins || first.len() >= PREFACE.len()).then_some(Spoken::Http2),
        Spoken::Unknown if !begins => Some(Spoken::Http1),
        Spoken::Unknown => (first.len() >= PREFACE.len()).then_some(Spoken::Http2),
    }
}

#[cfg(test)]
mod tests {
    use super::{PREFACE, Spoken, told};

    #[test]
    fn the_first_bytes_tell_as_soon_as_they_can() {
        assert_eq!(told(Spoken::Unknown, b"P"), None);
        assert_eq!(
            told(Spoken::Unknown, b"PUT / HTTP/1.1\r\n"),
            Some(Spoken::Http1)
        );
        assert_eq!(told(Spoken::Unknown, b"PRI * HTTP/2.0\r\n"), None);
        assert_eq!(told(Spoken::Unknown, PREFACE), Some(Spoken::Http2));
        assert_eq!(told(Spoken::Http2, b"GET"), Some(Spoken::Http2));
        assert_eq!(told(Spoken::Http1, b"PRI"), Some(Spoken::Http1));
    }
}
