//! SERVER spans and durations for an axum router.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tower::{Layer, Service};

/// For `axum::Router::layer`: a SERVER span `{method} {route}` and the duration of
/// every request, to the end of the body.
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer { _private: () }
}

/// See [`server_layer`].
#[derive(Clone, Debug)]
pub struct ServerLayer {
    _private: (),
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService { inner }
    }
}

/// See [`server_layer`].
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
}

/// Boxed: services are the example of the ordinary way, not the hot path.
pub type ServerFuture<E> =
    Pin<Box<dyn Future<Output = Result<Response<ServerBody>, E>> + Send + 'static>>;

impl<S> Service<Request<Body>> for ServerService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ServerBody>;
    type Error = S::Error;
    type Future = ServerFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let future = self.inner.call(request);
        Box::pin(async move { Ok(future.await?.map(|inner| ServerBody { inner })) })
    }
}

/// The answer's body; the request ends with it.
#[derive(Debug)]
pub struct ServerBody {
    inner: Body,
}

impl http_body::Body for ServerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
