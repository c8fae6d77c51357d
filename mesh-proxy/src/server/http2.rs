//! HTTP/2: one connection, many requests.

mod frames;
mod streams;

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use super::{
    Connection,
    ending::Closed,
    traffic::Traffic,
    wire::{Io, Wire},
};
use crate::stack::Stack;
pub(super) use frames::Frames;
pub(super) use streams::{Flow, Streams};

/// Serves the connection, of which `first` has been read, until it is closed.
pub(super) async fn serve<I: Io, S: Stack>(
    io: I,
    first: Vec<u8>,
    connection: &Connection<S>,
) -> Closed {
    let traffic = Arc::new(Traffic::new());
    let wire = TokioIo::new(Wire::http2(io, first, Arc::clone(&traffic)));
    let http = connection
        .listening
        .http2
        .serve_connection(wire, connection.handler(&traffic));
    let mut http = pin!(http);
    let mut drained = pin!(connection.drain.begin.cancelled());
    let mut clock = pin!(sleep_until(Instant::now() + connection.tick()));
    let mut leaving: Option<Closed> = None;
    let mut idle = Idle::new();
    let served = poll_fn(|cx| {
        if leaving.is_none() && drained.as_mut().poll(cx).is_ready() {
            leaving = Some(Closed::Drain);
            http.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(served) = http.as_mut().poll(cx) {
                return Poll::Ready(served);
            }
            if clock.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if traffic
                .head_age()
                .is_some_and(|age| age >= connection.listening.limits.head_timeout)
            {
                leaving = Some(Closed::SlowHead);
                return Poll::Ready(Ok(()));
            }
            if leaving.is_none()
                && let Some(why) = idle.look(now, &traffic, connection)
            {
                leaving = Some(why);
                http.as_mut().graceful_shutdown();
            }
            clock.as_mut().reset(now + connection.tick());
        }
    })
    .await;
    match (leaving, served) {
        (Some(why), _) => why,
        (None, Ok(())) => Closed::Done,
        (None, Err(error)) => {
            tracing::debug!(%error, "HTTP/2 connection ended");
            Closed::of(&error)
        }
    }
}

/// Since when there was no request.
struct Idle {
    since: Instant,
    served: u32,
}

impl Idle {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            served: 0,
        }
    }

    /// Why the connection should end now, if it should.
    fn look<S: Stack>(
        &mut self,
        now: Instant,
        traffic: &Traffic,
        connection: &Connection<S>,
    ) -> Option<Closed> {
        if connection.is_old(now) {
            return Some(Closed::Age);
        }
        if !traffic.is_answered() || traffic.served() != self.served {
            self.since = now;
            self.served = traffic.served();
        }
        let most = connection.listening.limits.idle_timeout?;
        (now.duration_since(self.since) >= most).then_some(Closed::Idle)
    }
}
