//! Notices that the other side has begun to speak: hyper does not say when a peer's
//! first SETTINGS have come.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
struct Ear {
    waker: AtomicWaker,
    heard: AtomicBool,
    over: AtomicBool,
}

/// A stream that tells when bytes have been read from it.
pub(super) struct Heard<T> {
    stream: T,
    ear: Arc<Ear>,
}

/// Who waits for them.
pub(super) struct Greeting(Arc<Ear>);

impl<T> Heard<T> {
    pub(super) fn new(stream: T) -> (Self, Greeting) {
        let ear = Arc::<Ear>::default();
        let greeting = Greeting(Arc::clone(&ear));
        (Self { stream, ear }, greeting)
    }
}

impl Greeting {
    /// Ready once for all bytes that have come since it was ready last.
    pub(super) fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        if self.0.heard.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Nobody waits any more: from now on a read costs one look.
    pub(super) fn over(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.ear.over.load(Ordering::Relaxed) && polled.is_ready() {
            self.ear.heard.store(true, Ordering::Release);
            self.ear.waker.wake();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
