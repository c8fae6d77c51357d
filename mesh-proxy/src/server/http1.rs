//! HTTP/1: one connection, awake while requests are on it, at rest between them.
//!
//! hyper holds 16 KiB of buffers for as long as it holds a connection. After a second
//! without a request it is taken away; what is left is a socket and a timer, and the
//! next byte brings it back.

mod awake;
mod rest;

use std::{future::poll_fn, pin::pin};

use tokio::time::{Instant, sleep_until};

use super::{
    Connection,
    ending::{Closed, close, linger, refuse, sever},
    wire::Io,
};
use crate::stack::Stack;
use awake::{Awake, Stop};
pub(super) use rest::poll_bytes;
use rest::rest;

/// Serves the connection, of which `first` has been read, until it is closed.
pub(super) async fn serve<I: Io, S: Stack>(
    mut io: I,
    mut first: Vec<u8>,
    connection: &Connection<S>,
) -> Closed {
    let mut drained = pin!(connection.drain.begin.cancelled());
    let mut clock = pin!(sleep_until(Instant::now()));
    loop {
        clock.as_mut().reset(Instant::now() + connection.tick());
        let mut awake = Awake::new(io, first, connection);
        let stop = poll_fn(|cx| awake.poll(cx, clock.as_mut(), drained.as_mut())).await;
        let idle_since = match stop {
            Stop::Gone(closed) => return closed,
            Stop::Ended(io, closed) => return close(io, closed).await,
            Stop::Unread(io, closed) => return linger(io, closed).await,
            Stop::Refused(io, refusal) => return refuse(io, refusal).await,
            Stop::Severed(io) => return sever(&io),
            Stop::Rests(rested, since) => {
                io = rested;
                since
            }
        };
        drop(awake); // hyper and its buffers
        let woken = rest(
            &mut io,
            idle_since,
            connection,
            clock.as_mut(),
            drained.as_mut(),
        )
        .await;
        match woken {
            Ok(bytes) => first = bytes,
            Err(closed) => return closed,
        }
    }
}
