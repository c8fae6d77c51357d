//! New connections: TCP, then HTTP/1.1 or HTTP/2 over whatever carries it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::future::poll_fn;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use mesh_telemetry::{
    proxy::{ProcessEvent, Secured, emit},
    task,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    Pool, Settings, Wanted,
    greeting::{Greeting, Heard},
    is_annoyed, is_goodbye,
    pool::{Held, Place, Shared, Terms},
};
use crate::{
    body::Body,
    cluster::Endpoint,
    error::ProxyError,
    tls::{Alpn, Failure, Offer, Stream, rejected},
};

/// Bytes that a peer may send ahead on one stream: what a slow reader makes us hold.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one stream that are taken from its sender before the peer has room for them.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of the header fields of an answer.
const HEADER_LIST: u32 = 64 * 1024;

/// Least time for an answer to the question whether somebody is there.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// Silence after which the kernel asks whether the other machine is still there, and
/// the pause between its questions: what holds for HTTP/1.1 and tunnels, too.
const KERNEL_KEEP_ALIVE: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(5)];

/// Where a request goes, seen from one worker.
#[derive(Clone)]
pub(crate) struct Upstream {
    endpoint: Arc<Endpoint>,
    worker: usize,
}

/// A new connection.
pub(super) enum Connection {
    Http1(Held),
    Http2(Shared),
}

/// Why there is no HTTP/2 on a connection.
enum Unfit {
    /// The peer says nothing, or something else.
    NotHttp2(Option<hyper::Error>),
    /// Anything else.
    Failed(ProxyError),
}

/// An HTTP/2 connection whose peer has said hello.
type Greeted<T> = (
    http2::SendRequest<Body>,
    http2::Connection<TokioIo<Heard<T>>, Body, Tasks>,
);

/// Who connects under which settings, and with whose place.
struct Dial {
    settings: Arc<Settings>,
    place: Place,
}

impl Upstream {
    pub(crate) fn new(endpoint: Arc<Endpoint>, worker: usize) -> Self {
        Self { endpoint, worker }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        self.endpoint.pool(self.worker)
    }

    /// What holds for all its connections; none: plain text.
    pub(crate) fn secured(&self) -> Option<Arc<Secured>> {
        let settings = self.pool().settings();
        settings.tls.as_ref().map(|tls| Arc::clone(tls.secured()))
    }

    /// Connects; a name is resolved now, each time, so that a moved instance is found.
    pub(super) async fn connect(
        &self,
        wanted: Wanted,
        place: Place,
    ) -> Result<Connection, ProxyError> {
        let settings = Arc::clone(&self.pool().settings());
        let patience = settings.connect_timeout;
        let dial = Dial { settings, place };
        let result = match timeout(patience, self.dial(wanted, dial)).await {
            Ok(result) => result,
            Err(_) => Err(ProxyError::ConnectTimeout {
                endpoint: self.endpoint.address_handle(),
                after: patience,
            }),
        };
        emit(&ProcessEvent::UpstreamConnect {
            cluster: self.endpoint.cluster(),
            result: outcome(result.as_ref().err()),
        });
        if result.is_ok() {
            self.pool().keep_swept();
        }
        result
    }

    /// Everything that comes before the first request.
    async fn dial(&self, wanted: Wanted, dial: Dial) -> Result<Connection, ProxyError> {
        let stream = self.tcp().await?;
        let Some(tls) = dial.settings.tls.clone() else {
            return match wanted {
                Wanted::Either => self.try_http2(stream, dial).await,
                Wanted::Http1 | Wanted::Http2 => self.speak(stream, wanted, dial).await,
            };
        };
        let shaken = tls.connect(stream, self.host(), wanted.offer()).await;
        let (stream, agreed) = shaken.map_err(|failure| self.insecure(failure))?;
        self.speak(stream, wanted.settle(agreed), dial).await
    }

    /// A connection for a health check or a tunnel: made as those for requests, TLS
    /// included, but not shared with them.
    pub(crate) async fn carrier(&self, alpn: Alpn) -> Result<Stream, ProxyError> {
        let tls = self.pool().settings().tls.clone();
        let stream = self.tcp().await?;
        let Some(tls) = tls else {
            return Ok(Stream::Plain(stream));
        };
        let shaken = tls.connect(stream, self.host(), Offer::Only(alpn)).await;
        let (stream, _) = shaken.map_err(|failure| self.insecure(failure))?;
        Ok(stream)
    }

    fn host(&self) -> &str {
        let address = self.endpoint.address();
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        host.trim_matches(['[', ']'])
    }

    async fn speak<T>(
        &self,
        stream: T,
        wanted: Wanted,
        dial: Dial,
    ) -> Result<Connection, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match wanted {
            Wanted::Http1 | Wanted::Either => self.http1(stream, dial).await,
            Wanted::Http2 => self.http2(stream, dial).await,
        }
    }

    /// HTTP/2 by prior knowledge; HTTP/1.1 on a new connection if the peer turns out not
    /// to know it. Nothing of a request has been sent then.
    async fn try_http2(&self, stream: TcpStream, dial: Dial) -> Result<Connection, ProxyError> {
        match self.greet(stream).await {
            Ok(greeted) => Ok(self.share(greeted, dial)),
            Err(Unfit::Failed(error)) => Err(error),
            Err(Unfit::NotHttp2(cause)) => {
                let endpoint = self.endpoint.address();
                tracing::debug!(endpoint, ?cause, "no HTTP/2 there, HTTP/1.1 is tried");
                self.http1(self.tcp().await?, dial).await
            }
        }
    }

    pub(crate) async fn tcp(&self) -> Result<TcpStream, ProxyError> {
        let stream = TcpStream::connect(self.endpoint.address()).await;
        let stream = stream.map_err(|cause| self.refused(cause))?;
        prepare(&stream).map_err(|cause| self.refused(cause))?;
        Ok(stream)
    }

    async fn http1<T>(&self, stream: T, dial: Dial) -> Result<Connection, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|cause| self.refused(io_error(&cause)))?;
        let open = Open::begin(&self.endpoint);
        task::spawn("upstream_connection", async move {
            let _open = open;
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        let terms = dial.terms();
        Ok(Connection::Http1(Held { sender, terms }))
    }

    async fn http2<T>(&self, stream: T, dial: Dial) -> Result<Connection, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.greet(stream).await {
            Ok(greeted) => Ok(self.share(greeted, dial)),
            Err(Unfit::Failed(error)) => Err(error),
            Err(Unfit::NotHttp2(cause)) => Err(self.refused(not_http2(cause))),
        }
    }

    /// Ready when the peer has said how many streams it allows; whoever does not speak
    /// HTTP/2 is found out here, and not by the first request.
    async fn greet<T>(&self, stream: T) -> Result<Greeted<T>, Unfit>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, mut greeting) = Heard::new(stream);
        let handshake = builder(self.pool().keep_alive())
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, mut connection) =
            handshake.map_err(|cause| Unfit::Failed(self.refused(io_error(&cause))))?;
        match greeted(&mut connection, &mut greeting).await {
            None => {
                greeting.over();
                Ok((sender, connection))
            }
            Some(Err(cause)) if let Some(failure) = rejected(&cause) => {
                Err(Unfit::Failed(self.insecure(failure)))
            }
            Some(Err(cause)) if is_goodbye(&cause) => {
                Err(Unfit::Failed(self.refused(io_error(&cause))))
            }
            Some(ended) => Err(Unfit::NotHttp2(ended.err())),
        }
    }

    fn share<T>(&self, (sender, mut connection): Greeted<T>, dial: Dial) -> Connection
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limit = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let (open, told) = (Open::begin(&self.endpoint), Arc::clone(&limit));
        let pool = Arc::downgrade(self.pool());
        task::spawn("upstream_connection", async move {
            let _open = open;
            let ended = poll_fn(|cx| {
                let polled = std::pin::Pin::new(&mut connection).poll(cx);
                if polled.is_pending() {
                    told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                }
                polled
            });
            if let Err(error) = ended.await {
                if is_annoyed(&error)
                    && let Some(pool) = pool.upgrade()
                {
                    pool.leave_in_peace();
                }
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Connection::Http2(Shared::new(sender, dial.terms(), limit))
    }

    fn insecure(&self, failure: Failure) -> ProxyError {
        failure.at(self.endpoint.address_handle())
    }

    fn refused(&self, cause: io::Error) -> ProxyError {
        ProxyError::Connect {
            endpoint: self.endpoint.address_handle(),
            cause,
        }
    }
}

impl Dial {
    fn terms(self) -> Terms {
        Terms {
            settings: self.settings,
            born: Instant::now(),
            _place: self.place,
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small requests must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    let [silence, pause] = KERNEL_KEEP_ALIVE;
    let keepalive = TcpKeepalive::new().with_time(silence).with_interval(pause);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn builder(keep_alive: Option<Duration>) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks);
    builder
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST)
        // None before the peer has said how many; that is also how its greeting is noticed.
        .initial_max_send_streams(0);
    if let Some(silence) = keep_alive {
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(silence)
            .keep_alive_timeout((silence / 2).max(LEAST_PATIENCE));
    }
    builder
}

/// Where hyper's tasks for streams run.
#[derive(Clone)]
pub(super) struct Tasks;

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        task::spawn("upstream_stream", future);
    }
}

/// Waits for the peer's greeting; how the connection ended if none came.
async fn greeted<T>(
    connection: &mut http2::Connection<T, Body, Tasks>,
    greeting: &mut Greeting,
) -> Option<hyper::Result<()>>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = std::pin::Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Some(ended));
            }
            if connection.current_max_send_streams() != 0 {
                return Poll::Ready(None);
            }
            // Woken by bytes; the connection's own task reads them first.
            std::task::ready!(greeting.poll_heard(cx));
        }
    })
    .await
}

fn io_error(cause: &hyper::Error) -> io::Error {
    io::Error::other(cause.to_string())
}

fn not_http2(cause: Option<hyper::Error>) -> io::Error {
    let why = cause.map_or_else(
        || "it closed the connection".to_owned(),
        |it| it.to_string(),
    );
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "it does not speak HTTP/2 ({why}), which gRPC and `protocol: http2` need; other requests go on as HTTP/1.1 under `auto` or `http1`"
        ),
    )
}

fn outcome(error: Option<&ProxyError>) -> &'static str {
    match error {
        None => "ok",
        Some(ProxyError::ConnectTimeout { .. }) => "timeout",
        Some(ProxyError::Connect { cause, .. })
            if cause.kind() == io::ErrorKind::ConnectionRefused =>
        {
            "refused"
        }
        Some(_) => "error",
    }
}

/// Counts a connection while it is open. Knows the cluster's name only: an open
/// connection must not keep an endpoint alive that the policy has dropped.
struct Open(String);

impl Open {
    fn begin(endpoint: &Endpoint) -> Self {
        let cluster = endpoint.cluster();
        emit(&ProcessEvent::UpstreamOpened { cluster });
        Self(cluster.to_owned())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        emit(&ProcessEvent::UpstreamClosed { cluster: &self.0 });
    }
}
