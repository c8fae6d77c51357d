//! A connection with hyper on it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use crate::{
    server::{
        Connection,
        ending::{Closed, Refusal},
        framing::Phase,
        handler::Handler,
        traffic::Traffic,
        wire::{Io, PATIENCE, Wire},
    },
    stack::Stack,
};

/// Why hyper was taken away again.
pub(super) enum Stop<I> {
    /// The connection is not here any more: closed, or another protocol's.
    Gone(Closed),
    /// It is to be closed.
    Ended(I, Closed),
    /// It is to be closed although the peer still sends.
    Unread(I, Closed),
    /// It is to be closed, and the peer told why.
    Refused(I, Refusal),
    /// It is to be broken.
    Severed(I),
    /// Nothing has happened on it since then.
    Rests(I, Instant),
}

/// See the module.
pub(super) struct Awake<'a, I: Io, S: Stack> {
    connection: &'a Connection<S>,
    traffic: Arc<Traffic>,
    http: Http<I, S>,
    is_leaving: bool,
    /// Since when nothing has happened, and how many requests there had been by then.
    quiet: Option<(Instant, u32)>,
    /// Since when only the rest of an upload is read that has been answered.
    answered: Option<Instant>,
}

/// Boxed, so that a resting connection does not keep their place.
enum Http<I: Io, S: Stack> {
    Plain(Box<http1::Connection<TokioIo<Wire<I>>, Handler<S>>>),
    Upgradeable(Box<http1::UpgradeableConnection<TokioIo<Wire<I>>, Handler<S>>>),
    Taken,
}

impl<'a, I: Io, S: Stack> Awake<'a, I, S> {
    pub(super) fn new(io: I, first: Vec<u8>, connection: &'a Connection<S>) -> Self {
        let traffic = Arc::new(Traffic::new());
        let wire = TokioIo::new(Wire::http1(io, first, Arc::clone(&traffic)));
        let handler = connection.handler(&traffic);
        let http = connection.listening.http1.serve_connection(wire, handler);
        Self {
            connection,
            traffic,
            http: Http::Plain(Box::new(http)),
            is_leaving: false,
            quiet: None,
            answered: None,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut clock: Pin<&mut Sleep>,
        drained: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Stop<I>> {
        if !self.is_leaving && drained.poll(cx).is_ready() {
            self.leave();
        }
        loop {
            if let Poll::Ready(ended) = self.http.poll(cx) {
                return Poll::Ready(self.ended(&ended));
            }
            if self.traffic.take_asked() {
                self.http.make_upgradeable();
                continue;
            }
            if let Some(why) = self.refused() {
                return Poll::Ready(self.stop(|io| Stop::Refused(io, why)));
            }
            if clock.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(stop) = self.tick(Instant::now()) {
                return Poll::Ready(stop);
            }
            clock
                .as_mut()
                .reset(Instant::now() + self.connection.tick());
        }
    }

    /// A malformed message, once all before it has been answered and read.
    fn refused(&self) -> Option<Refusal> {
        let why = self.traffic.refusal()?;
        (self.traffic.is_answered() && !self.traffic.is_stuffed())
            .then_some(Refusal::Malformed(why))
    }

    /// Answers what is under way, and closes.
    fn leave(&mut self) {
        self.is_leaving = true;
        match &mut self.http {
            Http::Plain(http) => Pin::new(&mut **http).graceful_shutdown(),
            Http::Upgradeable(http) => Pin::new(&mut **http).graceful_shutdown(),
            Http::Taken => {}
        }
    }

    /// Looks at all that has a time of its own.
    fn tick(&mut self, now: Instant) -> Option<Stop<I>> {
        if !self.is_leaving && self.connection.is_old(now) {
            self.leave();
        }
        let patience = self.connection.listening.limits.head_timeout;
        if self.traffic.head_age().is_some_and(|age| age >= patience) {
            return Some(self.stop(|io| Stop::Refused(io, Refusal::SlowHead)));
        }
        if !self.traffic.is_answered() || self.traffic.is_stuffed() {
            (self.quiet, self.answered) = (None, None);
            return None;
        }
        match self.traffic.phase() {
            Phase::Idle => self.rested(now),
            Phase::Body => self.outlived(now),
            _ => None,
        }
    }

    fn rested(&mut self, now: Instant) -> Option<Stop<I>> {
        let served = self.traffic.served();
        match self.quiet {
            Some((since, before)) if before == served => {
                Some(self.stop(|io| Stop::Rests(io, since)))
            }
            _ => {
                self.quiet = Some((now, served));
                None
            }
        }
    }

    /// An upload that goes on after its answer has an end.
    fn outlived(&mut self, now: Instant) -> Option<Stop<I>> {
        let since = *self.answered.get_or_insert(now);
        (now.duration_since(since) >= PATIENCE)
            .then(|| self.stop(|io| Stop::Unread(io, Closed::SlowBody)))
    }

    fn ended(&mut self, ended: &hyper::Result<()>) -> Stop<I> {
        if self.traffic.is_severed() {
            return self.stop(Stop::Severed);
        }
        let closed = match ended {
            _ if let Some(why) = self.traffic.refusal() => Closed::Malformed(why.code()),
            _ if self.connection.drain.begin.is_cancelled() => Closed::Drain,
            Ok(()) if self.is_leaving => Closed::Age,
            Ok(()) => Closed::Done,
            Err(error) => Closed::of(error),
        };
        let is_unread = self.traffic.phase() != Phase::Idle;
        self.stop(|io| match closed {
            Closed::Malformed(_) | Closed::LargeHead => Stop::Unread(io, closed),
            _ if is_unread => Stop::Unread(io, closed),
            _ => Stop::Ended(io, closed),
        })
    }

    /// Takes the connection from hyper; an upgraded one is not there any more.
    fn stop(&mut self, how: impl FnOnce(I) -> Stop<I>) -> Stop<I> {
        match std::mem::replace(&mut self.http, Http::Taken).into_io() {
            Some(io) => how(io),
            None => Stop::Gone(Closed::Upgraded),
        }
    }
}

impl<I: Io, S: Stack> Http<I, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match self {
            Self::Plain(http) => http.poll_without_shutdown(cx),
            Self::Upgradeable(http) => Pin::new(&mut **http).poll(cx),
            Self::Taken => Poll::Pending,
        }
    }

    /// Lets hyper hand the connection over when the answer switches protocols.
    fn make_upgradeable(&mut self) {
        *self = match std::mem::replace(self, Self::Taken) {
            Self::Plain(http) => Self::Upgradeable(Box::new(http.with_upgrades())),
            other => other,
        };
    }

    fn into_io(self) -> Option<I> {
        let parts = match self {
            Self::Plain(http) => http.into_parts(),
            Self::Upgradeable(http) => http.into_parts()?,
            Self::Taken => return None,
        };
        Some(parts.io.into_inner().into_parts().0)
    }
}
