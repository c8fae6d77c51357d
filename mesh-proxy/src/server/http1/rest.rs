//! A connection without hyper, waiting for its next request.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::ReadBuf,
    time::{Instant, Sleep},
};

use crate::{
    server::{Connection, ending::Closed, wire::Io},
    stack::Stack,
};

/// Bytes of the first read of a connection that wakes up: mostly a head in one piece.
const FIRST_READ: usize = 8 * 1024;

/// Far enough away for a timer that is not needed.
const NEVER: std::time::Duration = std::time::Duration::from_hours(24 * 365);

/// Waits for bytes; an error says why there will be none.
pub(super) async fn rest<I: Io, S: Stack>(
    io: &mut I,
    since: Instant,
    connection: &Connection<S>,
    mut clock: Pin<&mut Sleep>,
    mut drained: Pin<&mut impl Future<Output = ()>>,
) -> Result<Vec<u8>, Closed> {
    let (end, closed) = latest(since, connection);
    clock.as_mut().reset(end);
    poll_fn(|cx| {
        if let Poll::Ready(read) = poll_bytes(io, cx) {
            return Poll::Ready(match read {
                Ok(bytes) if bytes.is_empty() => Err(Closed::Done),
                Ok(bytes) => Ok(bytes),
                Err(_) => Err(Closed::Broken),
            });
        }
        if drained.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Closed::Drain));
        }
        clock.as_mut().poll(cx).map(|()| Err(closed))
    })
    .await
}

/// Until when to wait at most, and what it is called then.
fn latest<S: Stack>(since: Instant, connection: &Connection<S>) -> (Instant, Closed) {
    let idle = connection.listening.limits.idle_timeout;
    let ends = [
        idle.map(|idle| (since + idle, Closed::Idle)),
        connection.retires.map(|at| (at, Closed::Age)),
    ];
    let first = ends.into_iter().flatten().min_by_key(|(at, _)| *at);
    first.unwrap_or((since + NEVER, Closed::Idle))
}

/// What there is to read. The space for it is on the stack: a waiting connection has none.
pub(in crate::server) fn poll_bytes<I: Io>(
    io: &mut I,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut space = [std::mem::MaybeUninit::uninit(); FIRST_READ];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().to_vec()))
}
