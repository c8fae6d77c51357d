//! Bytes both ways, until both sides have said that there are no more.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use mesh_telemetry::proxy;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::{Instant, sleep_until},
};

use crate::{body::BodyError, error::ProxyError};

/// How a tunnel ended.
pub(super) enum Ended {
    /// Both sides have ended what they had to say.
    Complete,
    /// The caller's connection broke.
    CallerLeft,
    /// Something else came to its end first.
    Failed(BodyError),
}

/// Buffer of each way, bytes.
const BUFFER: usize = 16 * 1024;

/// Copies both ways. One side that ends is told to the other, which may go on
/// (half-close); a side that does not read is not read for. `idle` ends a silence;
/// `meter` counts what goes to the far side, and comes from there.
pub(super) async fn copy(
    near: impl AsyncRead + AsyncWrite + Unpin,
    far: impl AsyncRead + AsyncWrite + Unpin,
    idle: Option<Duration>,
    meter: &proxy::Tunnel,
) -> Ended {
    let clock = &Clock::new();
    let mut near = Side::new(near, clock, None);
    let mut far = Side::new(far, clock, Some(meter));
    let copied = tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER) => copied,
        () = clock.silence(idle) => return Ended::Failed(BodyError::new(ProxyError::Idle)),
    };
    match copied {
        Ok(_) => Ended::Complete,
        Err(_) if near.broke.load(Ordering::Relaxed) => Ended::CallerLeft,
        Err(error) => Ended::Failed(BodyError::new(error)),
    }
}

/// When something last moved.
struct Clock {
    born: Instant,
    /// Milliseconds since then.
    moved: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self {
            born: Instant::now(),
            moved: AtomicU64::new(0),
        }
    }

    fn tick(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// Until nothing has moved for so long; none: for ever.
    async fn silence(&self, longest: Option<Duration>) {
        let Some(longest) = longest else {
            return std::future::pending().await;
        };
        loop {
            let end =
                self.born + Duration::from_millis(self.moved.load(Ordering::Relaxed)) + longest;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// One side of a tunnel, watched.
struct Side<'a, T> {
    stream: T,
    clock: &'a Clock,
    meter: Option<&'a proxy::Tunnel>,
    broke: AtomicBool,
}

impl<'a, T> Side<'a, T> {
    fn new(stream: T, clock: &'a Clock, meter: Option<&'a proxy::Tunnel>) -> Self {
        Self {
            stream,
            clock,
            meter,
            broke: AtomicBool::new(false),
        }
    }

    fn watch<V>(&self, polled: Poll<io::Result<V>>) -> Poll<io::Result<V>> {
        match &polled {
            Poll::Ready(Ok(_)) => self.clock.tick(),
            Poll::Ready(Err(_)) => self.broke.store(true, Ordering::Relaxed),
            Poll::Pending => {}
        }
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Side<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(meter) = self.meter {
            meter.received(buffer.filled().len() - before);
        }
        self.watch(polled)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Side<'_, T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let (Some(meter), Poll::Ready(Ok(count))) = (self.meter, &polled) {
            meter.sent(*count);
        }
        self.watch(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // No sign of life: it is polled whenever there is nothing to copy.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(polled)
    }
}
