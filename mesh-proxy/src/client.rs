//! Connections to endpoints: HTTP/1.1 over plain TCP, pooled per worker.

mod connect;
mod pool;

use std::sync::Arc;

use http::{Method, StatusCode};
use hyper::client::conn::http1::SendRequest;

pub(crate) use connect::Upstream;
pub(crate) use pool::Pool;

use crate::{
    body::{Body, End, Request, Response, Watch, watched},
    cluster::Endpoint,
    error::ProxyError,
};

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

/// Sends a request in origin form. A pooled connection that died in the meantime is
/// replaced in silence as long as nothing of the request has gone out, or when the
/// request can be repeated without asking anyone: idempotent and without a body.
pub(crate) async fn send(
    upstream: &Upstream,
    mut request: Request,
) -> Result<Response, ProxyError> {
    let mut copy = repeatable(&request);
    while let Some(sender) = upstream.pool().take() {
        match exchange(upstream, sender, request).await {
            Ok(response) => return Ok(response),
            Err(failure) => match failure.unsent.or_else(|| copy.take()) {
                Some(again) if failure.error.retry().is_some() => request = again,
                _ => return Err(failure.error),
            },
        }
    }
    let sender = upstream.connect().await?;
    exchange(upstream, sender, request)
        .await
        .map_err(|failure| failure.error)
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
}

async fn exchange(
    upstream: &Upstream,
    mut sender: SendRequest<Body>,
    request: Request,
) -> Result<Response, Failure> {
    match sender.try_send_request(request).await {
        Ok(response) => Ok(leased(upstream, sender, response)),
        Err(mut error) => {
            let unsent = error.take_message();
            let error = blame(upstream.endpoint(), error.into_error());
            Err(Failure { error, unsent })
        }
    }
}

fn blame(endpoint: &Endpoint, cause: hyper::Error) -> ProxyError {
    let endpoint = endpoint.address_handle();
    if cause.is_user() {
        ProxyError::RequestBody(cause)
    } else if cause.is_parse() {
        ProxyError::Protocol { endpoint, cause }
    } else {
        ProxyError::Reset { endpoint, cause }
    }
}

/// The connection goes back to the pool when the body has been read to its end.
fn leased(
    upstream: &Upstream,
    sender: SendRequest<Body>,
    response: http::Response<hyper::body::Incoming>,
) -> Response {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Never asked for: `Upgrade` is not forwarded. Such a connection is not reused.
        return response.map(Body::new);
    }
    let lease = Lease {
        endpoint: Arc::clone(upstream.endpoint()),
        worker: upstream.worker(),
        sender,
    };
    response.map(|body| watched(Body::new(body), lease))
}

struct Lease {
    endpoint: Arc<Endpoint>,
    worker: usize,
    sender: SendRequest<Body>,
}

impl Watch for Lease {
    fn ended(self, end: End) {
        if end == End::Complete {
            self.endpoint.pool(self.worker).put(self.sender);
        }
    }
}
