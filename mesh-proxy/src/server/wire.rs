//! A connection's bytes on their way to and from hyper.
//!
//! Coming in, HTTP/1 is followed by [`Framing`], and nothing goes further that could
//! be read in two ways. Going out, a peer that does not read is not waited for for
//! ever: while nobody reads, the body of an answer is not asked for more, so that no
//! deadline inside it can fire, and a caller that stops reading would hold its slot,
//! its endpoint and its record until it closes the connection.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    framing::{Framing, Phase},
    http2::Frames,
    traffic::{Switch, Traffic},
};
use crate::tls::Stream;

/// How long not a single byte may be taken by the peer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that are read ahead while a request for another protocol is answered: enough
/// to see that the peer has gone.
const AHEAD: usize = 1024;

/// What connections are made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Lets closing it be a reset, which throws away what was not sent yet.
    fn break_off(&self) -> io::Result<()>;
}

impl Io for Stream {
    fn break_off(&self) -> io::Result<()> {
        SockRef::from(self.socket()).set_linger(Some(Duration::ZERO))
    }
}

#[cfg(test)]
impl Io for tokio::io::BufWriter<tokio::io::DuplexStream> {
    fn break_off(&self) -> io::Result<()> {
        Ok(())
    }
}

/// See the module.
pub(super) struct Wire<I> {
    io: I,
    /// Read, and not yet handed on.
    held: Vec<u8>,
    /// How much of `held` has been handed on.
    from: usize,
    protocol: Protocol,
    traffic: Arc<Traffic>,
    /// Runs while a write waits, and only then.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What is read.
enum Protocol {
    Http1(Framing),
    /// Its framing hyper reads strictly.
    Http2(Frames),
}

impl<I: Io> Wire<I> {
    /// HTTP/1, of which `first` has been read.
    pub(super) fn http1(io: I, first: Vec<u8>, traffic: Arc<Traffic>) -> Self {
        Self::new(io, first, traffic, Protocol::Http1(Framing::new()))
    }

    /// HTTP/2, of which `first` has been read.
    pub(super) fn http2(io: I, first: Vec<u8>, traffic: Arc<Traffic>) -> Self {
        Self::new(io, first, traffic, Protocol::Http2(Frames::new()))
    }

    fn new(io: I, first: Vec<u8>, traffic: Arc<Traffic>, protocol: Protocol) -> Self {
        Self {
            io,
            held: first,
            from: 0,
            protocol,
            traffic,
            stalled: None,
        }
    }

    /// The connection, and what was read of it and not handed on.
    pub(super) fn into_parts(mut self) -> (I, Vec<u8>) {
        self.held.drain(..self.from);
        (self.io, self.held)
    }

    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begin = buffer.filled().len();
        let was_held = !self.held.is_empty();
        if was_held {
            let rest = &self.held[self.from..];
            buffer.put_slice(&rest[..rest.len().min(buffer.remaining())]);
        } else {
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        }
        let fresh = &buffer.filled()[begin..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(())); // the peer has closed its side
        }
        let Some(used) = follow(&mut self.protocol, &self.traffic, fresh) else {
            buffer.set_filled(begin);
            return self.refuse();
        };
        if was_held {
            self.from += used;
            if self.from == self.held.len() {
                (self.held, self.from) = (Vec::new(), 0); // the memory goes back, too
            }
        } else if used < fresh.len() {
            self.held.extend_from_slice(&fresh[used..]);
        }
        buffer.set_filled(begin + used);
        Poll::Ready(Ok(()))
    }

    /// A bad head is answered by whoever drives the connection, as soon as what came
    /// before it has been answered; a bad body breaks off here.
    fn refuse(&self) -> Poll<io::Result<()>> {
        if self.traffic.is_answered() || self.traffic.phase() != Phase::Body {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the body of the request is malformed",
        )))
    }

    /// Until it is known whether what follows is HTTP, nothing of it goes further.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.len() - self.from >= AHEAD {
            return Poll::Pending;
        }
        let mut space = [0; AHEAD];
        let mut buffer = ReadBuf::new(&mut space);
        loop {
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buffer.filled());
            buffer.clear();
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.traffic.set_stuffed(false);
            }
            return written;
        }
        self.traffic.set_stuffed(true);
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        timer.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the caller stopped reading",
            ))
        })
    }
}

/// How much of the bytes may go further; none: they are refused.
fn follow(protocol: &mut Protocol, traffic: &Traffic, bytes: &[u8]) -> Option<usize> {
    match protocol {
        Protocol::Http1(framing) => match framing.feed(bytes) {
            Ok(used) => {
                traffic.set_phase(framing.phase());
                Some(used)
            }
            Err(why) => {
                traffic.refuse(why);
                None
            }
        },
        Protocol::Http2(frames) => {
            if frames.feed(bytes) {
                traffic.set_phase(Phase::Idle); // another head than before, with its own time
            }
            traffic.set_phase(if frames.is_in_head() {
                Phase::Head
            } else {
                Phase::Idle
            });
            Some(bytes.len())
        }
    }
}

impl<I: Io> AsyncRead for Wire<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.traffic.refusal().is_some() {
            return this.refuse();
        }
        if let Protocol::Http1(framing) = &mut this.protocol
            && framing.is_asked()
        {
            match this.traffic.switch() {
                Switch::Undecided => return this.poll_ahead(cx),
                switch => framing.answered(switch == Switch::Switched),
            }
        }
        this.poll_more(cx, buffer)
    }
}

impl<I: Io> AsyncWrite for Wire<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes bytes that its socket has no room for yet: they are not sent.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, duplex};

    use super::{PATIENCE, Traffic, Wire};

    #[tokio::test(start_paused = true)]
    async fn bytes_that_wait_below_are_not_sent_and_not_waited_for_for_ever() {
        let (near, mut far) = duplex(16);
        let traffic = Arc::new(Traffic::new());
        let below = BufWriter::with_capacity(1024, near); // takes more than there is room for
        let mut wire = Wire::http1(below, Vec::new(), Arc::clone(&traffic));
        wire.write_all(&[7; 40]).await.unwrap();
        assert!(!traffic.is_stuffed());
        let (flushed, read) = tokio::join!(wire.flush(), async {
            tokio::time::sleep(PATIENCE / 2).await;
            assert!(traffic.is_stuffed());
            far.read_exact(&mut [0; 40]).await
        });
        flushed.unwrap();
        read.unwrap();
        assert!(!traffic.is_stuffed());
        wire.write_all(&[7; 40]).await.unwrap();
        let kind = wire.flush().await.unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::TimedOut);
    }
}
