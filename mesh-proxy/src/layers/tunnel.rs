//! `CONNECT`: a tunnel to a cluster, where the listener allows it. Nothing is seen of
//! what goes through, so there are no routes, retries or faults inside it; its
//! endpoint comes from the balancer, and its bytes are counted.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Method;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mesh_telemetry::{
    proxy::{self, Direction},
    task,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::{Instant, sleep, timeout},
};

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::{Body, Request, Response},
    call::Call,
    client::Upstream,
    cluster::{Cluster, Endpoint, Permit},
    error::ProxyError,
    policy::authority,
    shared::Shared,
    tls::{Alpn, Stream},
};

/// Buffer of each way.
const BUFFER: usize = 16 * 1024;

/// Silence after which a tunnel is closed: whoever keeps a connection in reserve does
/// so for minutes; Envoy's figure for TCP.
const LONGEST_SILENCE: Duration = Duration::from_hours(1);

/// The layer.
pub(crate) struct Tunnel {
    shared: Arc<Shared>,
    is_allowed: bool,
}

impl Tunnel {
    pub(crate) fn new(shared: &Arc<Shared>, side: Direction) -> Self {
        Self {
            shared: Arc::clone(shared),
            is_allowed: shared.policy.owner().limits(side).allow_connect,
        }
    }

    async fn open(&self, mut request: Request) -> Result<Response, ProxyError> {
        let cluster = self.cluster(&request)?;
        let permit = cluster.pick(None, None, &self.shared.random, Instant::now())?;
        let within = cluster.settings().connect_timeout;
        let upstream = connect(permit.endpoint(), within).await?;
        let inside = Inside {
            upgrade: hyper::upgrade::on(&mut request),
            upstream: Counted::new(upstream, cluster.name()),
            _permit: permit,
        };
        let (tracker, give_up) = (&self.shared.drain.connections, &self.shared.drain.give_up);
        let inside = give_up.clone().run_until_cancelled_owned(inside.run());
        task::spawn("tunnel", tracker.track_future(inside));
        Ok(Response::new(Body::empty()))
    }

    fn cluster(&self, request: &Request) -> Result<Arc<Cluster>, ProxyError> {
        let host = authority(request.uri(), request.headers()).unwrap_or_default();
        let policy = self.shared.policy.load();
        let cluster = policy.clusters.get(host).cloned();
        cluster.ok_or_else(|| ProxyError::NoRoute {
            authority: host.chars().take(100).collect(),
        })
    }
}

impl Detour<Call> for Tunnel {
    fn is_needed(&self, call: &Call) -> bool {
        call.request.method() == Method::CONNECT
    }
}

impl<Next: Fallible<Call>> Around<Call, Next> for Tunnel {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, call: Call, _: Next) -> Result<Response, ProxyError> {
        if !self.is_allowed {
            return Err(ProxyError::ConnectMethod);
        }
        self.open(call.request).await
    }
}

/// With TLS where the cluster has it: who is at the other end is verified here, too.
async fn connect(endpoint: &Arc<Endpoint>, within: Duration) -> Result<Stream, ProxyError> {
    let upstream = Upstream::new(Arc::clone(endpoint), 0); // any worker's settings: all are the same
    timeout(within, upstream.carrier(Alpn::Http1))
        .await
        .unwrap_or_else(|_| {
            Err(ProxyError::ConnectTimeout {
                endpoint: endpoint.address_handle(),
                after: within,
            })
        })
}

/// An open tunnel.
struct Inside {
    upgrade: OnUpgrade,
    upstream: Counted,
    /// The tunnel is load of its endpoint.
    _permit: Permit,
}

impl Inside {
    async fn run(mut self) {
        let Ok(caller) = self.upgrade.await else {
            return; // the caller left before the answer
        };
        let mut caller = TokioIo::new(caller);
        let moved = Arc::clone(&self.upstream.moved);
        let copied = tokio::select! {
            copied = copy_bidirectional_with_sizes(&mut caller, &mut self.upstream, BUFFER, BUFFER) => copied.map(drop),
            () = silence(&moved) => Ok(()),
        };
        if let Err(error) = copied {
            tracing::debug!(%error, "a tunnel broke");
        }
    }
}

/// Resolves when nothing has moved for long.
async fn silence(moved: &AtomicU64) {
    loop {
        let before = moved.load(Relaxed);
        sleep(LONGEST_SILENCE).await;
        if moved.load(Relaxed) == before {
            return;
        }
    }
}

/// The far side, whose bytes are counted.
struct Counted {
    stream: Stream,
    meter: proxy::Tunnel,
    /// All bytes so far.
    moved: Arc<AtomicU64>,
}

impl Counted {
    fn new(stream: Stream, cluster: &str) -> Self {
        Self {
            stream,
            meter: proxy::Tunnel::open(cluster),
            moved: Arc::default(),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let count = buffer.filled().len() - before;
        self.meter.received(count);
        self.moved.fetch_add(count as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.meter.sent(count);
        self.moved.fetch_add(count as u64, Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
