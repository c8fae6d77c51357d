//! Listeners and connections: accepting, HTTP/1.1, draining.

mod impatient;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mesh_telemetry::task;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body::Body,
    error::RunError,
    stack::Stack,
    tls::{Accepted, ServerTls},
};
use impatient::Impatient;

/// Connections that one listener holds at once; further ones wait in the backlog.
const MOST_CONNECTIONS: usize = 10_000;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);

/// Pause after a failed accept: most often the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    tls: Option<Arc<ServerTls>>,
    drain: Drain,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be handed to the runtime");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Some(stream) = accept(&listener, &drain).await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return; // never closed
        };
        let connection = connection(stream, stack.clone(), tls.clone(), drain.clone());
        let connection = drain.connections.track_future(connection);
        task::spawn("connection", async move {
            connection.await;
            drop(place);
        });
    }
}

async fn accept(listener: &TcpListener, drain: &Drain) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begin.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S: Stack>(
    stream: TcpStream,
    stack: S,
    tls: Option<Arc<ServerTls>>,
    drain: Drain,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection closed before it was served");
        return;
    }
    let Some(Accepted { stream, peer, .. }) = secure(stream, tls.as_deref(), &drain).await else {
        return;
    };
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(Arc::clone(peer));
        }
        stack.clone().call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new()) // for the time a client may take to send a head
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = drain.begin.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = drain.give_up.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Shakes hands where there is TLS; none: there is nothing to serve.
async fn secure(stream: TcpStream, tls: Option<&ServerTls>, drain: &Drain) -> Option<Accepted> {
    let Some(tls) = tls else {
        return Some(Accepted::plain(stream));
    };
    let accepted = tokio::select! {
        () = drain.begin.cancelled() => return None,
        accepted = tls.accept(stream, HANDSHAKE_TIME) => accepted,
    };
    accepted.unwrap_or_else(|failure| {
        tracing::debug!(error = %failure.cause, "a connection was not secured");
        None
    })
}
