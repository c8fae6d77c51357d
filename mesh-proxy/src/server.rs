//! Listeners and connections: accepting, HTTP/1.1 and HTTP/2 on one port, limits,
//! draining.
//!
//! [`serve`] accepts; `serve_connection` serves one connection, whatever it is made of. Below hyper, `wire` and `framing` see every byte; above it, `handler` sees
//! every request; `http1` and `http2` drive a connection and keep its times.

mod ending;
mod framing;
mod handler;
mod http1;
mod http2;
mod listening;
mod preface;
mod traffic;
mod upload;
mod wire;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use mesh_telemetry::task;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::RunError,
    stack::Stack,
    tls::{Accepted, Peer},
};
use ending::{Closed, Open};
use handler::Handler;
pub(crate) use handler::Severed;
pub(crate) use listening::Listening;
pub(crate) use preface::Spoken;
use traffic::Traffic;
pub(crate) use wire::Io;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept: most often the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Silence after which the kernel asks whether the peer is still there: a machine that
/// is gone without a word does not hold a connection for ever.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// How connections end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Cancelled: accept nothing more, finish what is in flight.
    pub(crate) begin: CancellationToken,
    /// Cancelled: drop what is still in flight.
    pub(crate) give_up: CancellationToken,
    /// Open connections.
    pub(crate) connections: TaskTracker,
}

/// Where a request's connection comes from; among its extensions where the listener
/// says `forwarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// Opens a listener. With `shared_port`, several workers can listen on one port,
/// and the kernel spreads connections over them.
pub(crate) fn bind(
    listener: &'static str,
    address: SocketAddr,
    shared_port: bool,
) -> Result<StdListener, RunError> {
    open(address, shared_port).map_err(|cause| RunError::Listen {
        listener,
        address,
        cause,
    })
}

fn open(address: SocketAddr, shared_port: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?; // a restart need not wait for old connections
    #[cfg(unix)]
    if shared_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves a listener until the drain begins.
pub(crate) async fn serve<S: Stack>(
    listener: StdListener,
    stack: S,
    listening: Arc<Listening>,
    drain: Drain,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be handed to the runtime");
            return;
        }
    };
    while let Some((stream, peer, place)) = accept(&listener, &listening, &drain).await {
        let accepted = accepted(
            stream,
            peer,
            place,
            stack.clone(),
            Arc::clone(&listening),
            drain.clone(),
        );
        task::spawn("connection", drain.connections.track_future(accepted));
    }
}

/// The next connection; none when the drain has begun. A full listener accepts nothing:
/// further connections wait in the kernel.
async fn accept(
    listener: &TcpListener,
    listening: &Listening,
    drain: &Drain,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        let next = async {
            let place = Arc::clone(&listening.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = drain.begin.cancelled() => return None,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, peer))) => return Some((stream, peer, place)),
            (Err(_), _) => return None, // never closed
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accepted<S: Stack>(
    stream: TcpStream,
    address: SocketAddr,
    _place: OwnedSemaphorePermit,
    stack: S,
    listening: Arc<Listening>,
    drain: Drain,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "connection closed before it was served");
        return;
    }
    let open = Open::begin(listening.name);
    let accepted = match secure(stream, &listening, &drain).await {
        Ok(accepted) => accepted,
        Err(closed) => return open.end(closed),
    };
    let spoken = accepted.alpn.map_or(Spoken::Unknown, Spoken::from);
    let connection = Connection {
        stack,
        address: RemoteAddress(address),
        peer: accepted.peer,
        retires: listening.retires(),
        listening,
        drain,
    };
    open.end(serve_connection(accepted.stream, spoken, &connection).await);
}

/// Shakes hands where there is TLS; an error says why there is nothing to serve.
async fn secure(
    stream: TcpStream,
    listening: &Listening,
    drain: &Drain,
) -> Result<Accepted, Closed> {
    let Some(tls) = &listening.tls else {
        return Ok(Accepted::plain(stream));
    };
    let accepted = tokio::select! {
        () = drain.begin.cancelled() => return Err(Closed::Drain),
        accepted = tls.accept(stream, listening.limits.head_timeout) => accepted,
    };
    match accepted {
        Ok(accepted) => accepted.ok_or(Closed::Done),
        Err(failure) => {
            tracing::debug!(error = %failure.cause, "a connection was not secured");
            Err(Closed::Handshake)
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small answers must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Serves one connection until it is closed: by its peer, by a limit, or by the drain.
async fn serve_connection<I: Io, S: Stack>(
    mut io: I,
    spoken: Spoken,
    connection: &Connection<S>,
) -> Closed {
    let served = async {
        match preface::read(&mut io, spoken, connection).await {
            Ok((Spoken::Http2, first)) => http2::serve(io, first, connection).await,
            Ok((_, first)) => http1::serve(io, first, connection).await,
            Err(closed) => closed,
        }
    };
    tokio::select! {
        closed = served => closed,
        () = connection.drain.give_up.cancelled() => Closed::DrainOver,
    }
}

/// One connection, seen by those who serve it.
struct Connection<S> {
    stack: S,
    /// None: no request tells where it comes from.
    address: RemoteAddress,
    /// What its TLS proves; none: plain text.
    peer: Option<Arc<Peer>>,
    listening: Arc<Listening>,
    drain: Drain,
    /// When it is asked to end, for its age.
    retires: Option<Instant>,
}

impl<S: Stack> Connection<S> {
    fn handler(&self, traffic: &Arc<Traffic>) -> Handler<S> {
        Handler::new(
            &self.stack,
            traffic,
            &self.listening,
            self.address,
            self.peer.as_ref(),
        )
    }

    fn tick(&self) -> Duration {
        self.listening.tick
    }

    fn is_old(&self, now: Instant) -> bool {
        self.retires.is_some_and(|at| now >= at)
    }
}
