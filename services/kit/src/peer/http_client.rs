//! The pooled HTTP client behind peers that are somewhere else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::{BoxError, Service};

/// Idle connections are closed before the other side does it (sidecars keep
/// theirs for longer), so that a request never meets a connection being closed.
const IDLE: Duration = Duration::from_secs(20);

/// A connection to loopback or the next machine stands at once or not at all.
const CONNECT: Duration = Duration::from_secs(2);

/// One connection pool for all peers of the process.
#[derive(Clone, Debug)]
pub(super) struct HttpClient {
    client: Client<HttpConnector, Body>,
}

impl Default for HttpClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client }
    }
}

impl HttpClient {
    /// Sends everything to `base`; with `host`, in the name of that host.
    pub(super) fn service(&self, base: Uri, host: Option<HeaderValue>) -> HttpService {
        HttpService {
            client: self.client.clone(),
            base,
            host,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct HttpService {
    client: Client<HttpConnector, Body>,
    base: Uri,
    host: Option<HeaderValue>,
}

impl HttpService {
    fn address(&self, request: &mut Request<Body>) -> Result<(), http::Error> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or(PathAndQuery::from_static("/"));
        let mut uri = Uri::builder().scheme("http").path_and_query(path);
        if let Some(authority) = self.base.authority() {
            uri = uri.authority(authority.clone());
        }
        *request.uri_mut() = uri.build()?;
        if let Some(host) = &self.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        Ok(())
    }
}

impl Service<Request<Body>> for HttpService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Err(error) = self.address(&mut request) {
            return Box::pin(async { Err(error.into()) });
        }
        let answer = self.client.request(request);
        Box::pin(async { Ok(answer.await?.map(Body::new)) })
    }
}
