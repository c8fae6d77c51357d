//! Connections to endpoints: HTTP/1.1 and HTTP/2, kept per worker.

mod adapt;
mod connect;
mod establish;
mod greeting;
mod pool;
mod settings;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, StatusCode, Version};
use mesh_telemetry::proxy;

pub(crate) use connect::Upstream;
pub(crate) use pool::Pool;
pub(crate) use settings::Settings;
use settings::Wanted;

use crate::{
    body::{Body, End, Keep, Request, Response, Watch, watched},
    cluster::Endpoint,
    error::ProxyError,
    grpc, names, tls, tunnel,
};
use establish::{Acquired, Lane};
use pool::{Held, Stream};

/// How many workers there are: each has connections of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workers(usize);

impl Workers {
    /// So many, one at least.
    #[must_use]
    pub(crate) fn new(count: usize) -> Self {
        Self(count.max(1))
    }

    /// One value for each.
    pub(crate) fn each<T>(self, make: impl FnMut() -> T) -> Box<[T]> {
        std::iter::repeat_with(make).take(self.0).collect()
    }
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Pools {
    settings: Arc<ArcSwap<Settings>>,
    workers: Box<[Arc<Pool>]>,
}

impl Pools {
    /// None yet.
    pub(crate) fn new(settings: &Arc<Settings>, workers: Workers) -> Self {
        let settings = Arc::new(ArcSwap::from(Arc::clone(settings)));
        Self {
            workers: workers.each(|| Pool::new(&settings)),
            settings,
        }
    }

    /// Puts settings in force; connections made under others are closed as they become idle.
    pub(crate) fn configure(&self, settings: &Arc<Settings>) {
        if **self.settings.load() != **settings {
            self.settings.store(Arc::clone(settings));
        }
    }

    /// Those of one worker.
    pub(crate) fn of(&self, worker: usize) -> &Arc<Pool> {
        &self.workers[worker]
    }
}

/// What is known of a request beside itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What its caller spoke.
    pub(crate) spoken: Version,
    /// The other end is a sidecar that wants to know that.
    pub(crate) tells: bool,
    /// It asks for another protocol on the connection, and may.
    pub(crate) upgrade: bool,
    /// Longest silence of what an upgrade leads to; none: any.
    pub(crate) idle: Option<Duration>,
}

/// Sends a request. A pooled connection that died in the meantime is replaced in
/// silence as long as nothing of the request has gone out, or when the request can be
/// repeated without asking anyone: idempotent and without a body.
pub(crate) async fn send(
    upstream: &Upstream,
    mut request: Request,
    manner: Manner,
) -> Result<Response, ProxyError> {
    let grpc = manner.spoken == Version::HTTP_2 && grpc::is_grpc(request.headers());
    let wanted = upstream
        .pool()
        .settings()
        .wanted(manner.spoken, manner.upgrade, grpc);
    let mut copy = repeatable(&request);
    loop {
        let Acquired { lane, pooled } = upstream.acquire(wanted).await?;
        let failure = match exchange(upstream, lane, request, manner).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        match failure.unsent.or_else(|| copy.take()) {
            Some(again) if pooled && failure.connection_gone => request = again,
            _ => return Err(failure.error),
        }
    }
}

/// A copy of a request that changes nothing when it is sent twice and has no body.
fn repeatable(request: &Request) -> Option<Request> {
    let harmless =
        is_idempotent(request.method()) && http_body::Body::is_end_stream(request.body());
    harmless.then(|| {
        let mut copy = Request::new(Body::empty());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        copy
    })
}

/// Methods that may be repeated (RFC 9110, section 9.2.2).
#[must_use]
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

struct Failure {
    error: ProxyError,
    /// The request, when nothing of it has gone out.
    unsent: Option<Request>,
    /// Another connection might fare better.
    connection_gone: bool,
}

async fn exchange(
    upstream: &Upstream,
    lane: Lane,
    request: Request,
    manner: Manner,
) -> Result<Response, Failure> {
    match lane {
        Lane::Http1(held) => over_http1(upstream, held, request, manner).await,
        Lane::Http2(stream) => over_http2(upstream, stream, request, manner).await,
    }
}

async fn over_http1(
    upstream: &Upstream,
    mut held: Held,
    mut request: Request,
    manner: Manner,
) -> Result<Response, Failure> {
    adapt::to_http1(&mut request);
    match held.sender.try_send_request(request).await {
        Ok(response) => leased(upstream, held, response, manner).map_err(Failure::lasting),
        Err(mut error) => {
            let unsent = error.take_message();
            if unsent.is_none() {
                upstream.pool().doubt_http1();
            }
            let error = blame(upstream.endpoint(), error.into_error());
            let connection_gone = error.retry().is_some();
            Err(Failure {
                error,
                unsent,
                connection_gone,
            })
        }
    }
}

async fn over_http2(
    upstream: &Upstream,
    stream: Stream,
    mut request: Request,
    manner: Manner,
) -> Result<Response, Failure> {
    let scheme = stream.scheme();
    let address = upstream.endpoint().address();
    adapt::to_http2(&mut request, address, scheme);
    if manner.tells && manner.spoken != Version::HTTP_2 {
        let http1 = HeaderValue::from_static(names::HTTP1);
        request.headers_mut().insert(names::PROTOCOL, http1);
    }
    let mut sender = stream.0.sender.clone();
    match sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|body| watched(Body::new(body), Keep(stream)))),
        Err(mut error) => {
            let unsent = error.take_message();
            let cause = error.into_error();
            let connection_gone = unsent.is_some() || sender.is_closed() || is_goodbye(&cause);
            if connection_gone {
                upstream.pool().retire(&stream.0);
            }
            Err(Failure {
                error: blame(upstream.endpoint(), cause),
                unsent,
                connection_gone,
            })
        }
    }
}

impl Failure {
    /// One that another connection would not change.
    fn lasting(error: ProxyError) -> Self {
        Self {
            error,
            unsent: None,
            connection_gone: false,
        }
    }
}

fn blame(endpoint: &Endpoint, cause: hyper::Error) -> ProxyError {
    let endpoint = endpoint.address_handle();
    if let Some(failure) = tls::rejected(&cause) {
        failure.at(endpoint)
    } else if cause.is_user() || broken_off_by_us(&cause) {
        ProxyError::RequestBody(cause)
    } else if is_refused(&cause) {
        ProxyError::RefusedStream { endpoint, cause }
    } else if cause.is_parse() {
        let cause = cause.into();
        ProxyError::Protocol { endpoint, cause }
    } else {
        ProxyError::Reset { endpoint, cause }
    }
}

fn http2_error(cause: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(cause)?.downcast_ref()
}

/// The peer says that it has not begun with the request: the stream is refused, or
/// comes after the last one that a leaving peer still answers.
fn is_refused(cause: &hyper::Error) -> bool {
    is_goodbye(cause)
        || http2_error(cause).is_some_and(|error| {
            error.is_remote()
                && error.is_reset()
                && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        })
}

/// The peer takes no further streams on this connection.
fn is_goodbye(cause: &hyper::Error) -> bool {
    http2_error(cause).is_some_and(|error| error.is_remote() && error.is_go_away())
}

/// The peer closes the connection because it is asked too often whether it is there:
/// servers of gRPC may allow that once in five minutes.
fn is_annoyed(cause: &hyper::Error) -> bool {
    let reason = http2_error(cause).and_then(h2::Error::reason);
    is_goodbye(cause) && reason == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// The body of the request ended in an error, and hyper reset the stream for it.
fn broken_off_by_us(cause: &hyper::Error) -> bool {
    http2_error(cause)
        .is_some_and(|error| error.is_reset() && !error.is_remote() && !error.is_library())
}

/// The connection goes back to the pool when the body has been read to its end.
fn leased(
    upstream: &Upstream,
    held: Held,
    mut response: http::Response<hyper::body::Incoming>,
    manner: Manner,
) -> Result<Response, ProxyError> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && manner.upgrade {
        let far = tunnel::upgraded(hyper::upgrade::on(&mut response));
        let terms = tunnel::Terms {
            idle: manner.idle,
            meter: proxy::Tunnel::open(upstream.endpoint().cluster()),
            kept: held,
        };
        return Ok(tunnel::begin(response.into_parts().0, far, terms));
    }
    if let Some(wrong) = adapt::unusable(&response) {
        return Err(ProxyError::Protocol {
            endpoint: upstream.endpoint().address_handle(),
            cause: wrong.into(),
        });
    }
    let lease = Lease {
        pool: Arc::downgrade(upstream.pool()),
        held,
    };
    Ok(response.map(|body| watched(Body::new(body), lease)))
}

/// Does not keep the pool of an endpoint that the policy has dropped.
struct Lease {
    pool: std::sync::Weak<Pool>,
    held: Held,
}

impl Watch for Lease {
    fn ended(self, end: End) {
        if end == End::Complete
            && let Some(pool) = self.pool.upgrade()
        {
            pool.put(self.held);
        }
    }
}
