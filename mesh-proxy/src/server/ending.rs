//! How connections end, and the last words to a peer that is at fault.

use std::time::Duration;

use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{framing::Malformed, wire::Io};

/// Bytes that are still taken from a peer that has been answered: what was on its way.
/// Closing with bytes unread resets the connection, and the answer with it.
const LAST_BYTES: usize = 256 * 1024;

/// How long they are waited for.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Why a connection was closed. Bounded: it is a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// By the peer, or after an answer that said so.
    Done,
    /// Handed over to another protocol, and closed with it.
    Upgraded,
    /// The connection broke.
    Broken,
    /// The sidecar drains.
    Drain,
    /// The drain was over.
    DrainOver,
    /// `idle_timeout`.
    Idle,
    /// `max_connection_age`.
    Age,
    /// A head, or an HTTP/2 preface, did not come in time.
    SlowHead,
    /// An upload went on for too long after its answer.
    SlowBody,
    /// What came is malformed, in this way.
    Malformed(&'static str),
    /// A head is larger than `max_head` or has more than `max_headers` fields.
    LargeHead,
    /// The TLS handshake failed.
    Handshake,
    /// A chaos rule broke it.
    Fault,
}

impl Closed {
    /// From what hyper says.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::LargeHead
        } else if error.is_parse() {
            Self::Malformed("syntax")
        } else {
            Self::Broken
        }
    }

    /// Bounded code, for the metric.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Upgraded => "upgraded",
            Self::Broken => "broken",
            Self::Drain => "drain",
            Self::DrainOver => "drain_over",
            Self::Idle => "idle_timeout",
            Self::Age => "max_age",
            Self::SlowHead => "head_timeout",
            Self::SlowBody => "slow_body",
            Self::Malformed(_) => "malformed",
            Self::LargeHead => "large_head",
            Self::Handshake => "handshake",
            Self::Fault => "fault",
        }
    }
}

/// Counts a connection while it is there.
pub(super) struct Open {
    listener: &'static str,
    closed: Closed,
}

impl Open {
    pub(super) fn begin(listener: &'static str) -> Self {
        emit(&ProcessEvent::DownstreamOpened { listener });
        Self {
            listener,
            closed: Closed::Broken,
        }
    }

    pub(super) fn end(mut self, closed: Closed) {
        self.closed = closed;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let listener = self.listener;
        let malformed = match self.closed {
            Closed::Malformed(why) => Some(why),
            Closed::LargeHead => Some(self.closed.code()),
            _ => None,
        };
        if let Some(reason) = malformed {
            emit(&ProcessEvent::Malformed { listener, reason });
        }
        let reason = self.closed.code();
        emit(&ProcessEvent::DownstreamClosed { listener, reason });
    }
}

/// What a peer is told before its connection is closed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Malformed(Malformed),
    SlowHead,
}

impl Refusal {
    fn closed(self) -> Closed {
        match self {
            Self::Malformed(why) => Closed::Malformed(why.code()),
            Self::SlowHead => Closed::SlowHead,
        }
    }

    fn text(self) -> String {
        let (status, code, message) = match self {
            Self::Malformed(why) => ("400 Bad Request", "malformed_request", why.message()),
            Self::SlowHead => (
                "408 Request Timeout",
                "head_timeout",
                "the head of the request did not come in time",
            ),
        };
        let body = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-mesh-reason: {code}\r\nconnection: close\r\n\r\n{body}",
            body.len(),
        )
    }
}

/// Says why, and closes.
pub(super) async fn refuse(mut io: impl Io, refusal: Refusal) -> Closed {
    // A peer that does not listen is not waited for.
    let _ = timeout(LAST_WAIT, io.write_all(refusal.text().as_bytes())).await;
    linger(io, refusal.closed()).await
}

/// Closes a connection whose peer sends nothing more.
pub(super) async fn close(mut io: impl Io, closed: Closed) -> Closed {
    let _ = timeout(LAST_WAIT, io.shutdown()).await;
    closed
}

/// Breaks a connection: the peer sees no orderly end where the system lets us.
pub(super) fn sever(io: &impl Io) -> Closed {
    if let Err(error) = io.break_off() {
        tracing::debug!(%error, "a connection is closed in order instead of broken");
    }
    Closed::Fault
}

/// Closes in such a way that the last answer arrives, although the peer still sends.
pub(super) async fn linger(mut io: impl Io, closed: Closed) -> Closed {
    let last = async {
        io.shutdown().await?;
        let (mut left, mut space) = (LAST_BYTES, [0; 1024]);
        while left > 0 {
            match io.read(&mut space).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(LAST_WAIT, last).await;
    closed
}
