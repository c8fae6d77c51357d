//! The layers of the stack, one file each, and the little that they share.
//!
//! A layer implements [`Around`]: one async function from a request and the rest
//! of the stack to a response. [`layer`] makes a tower layer of it. Services are
//! always ready and cheap to clone (one count), so the rest of the stack is
//! handed to the layer by value.

pub(crate) mod answer;
pub(crate) mod application;
pub(crate) mod attempt_telemetry;
pub(crate) mod attempt_timeout;
pub(crate) mod authorize;
pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod chaos;
pub(crate) mod cut;
pub(crate) mod deadline;
pub(crate) mod edge;
pub(crate) mod forward;
pub(crate) mod guard;
pub(crate) mod hop;
pub(crate) mod limit;
pub(crate) mod local;
pub(crate) mod mirror;
pub(crate) mod rate_limit;
pub(crate) mod request_telemetry;
pub(crate) mod rescue;
pub(crate) mod retry;
pub(crate) mod rewrite;
pub(crate) mod route;
pub(crate) mod tunnel;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use crate::{body::Response, error::ProxyError};

/// What a layer does around the rest of the stack, `next`.
pub(crate) trait Around<Request, Next>: Send + Sync + 'static {
    /// What is left to fail; nothing above `rescue`.
    type Error: Send;

    /// Handles one request.
    fn call(
        &self,
        request: Request,
        next: Next,
    ) -> impl Future<Output = Result<Response, Self::Error>> + Send;
}

/// The rest of a stack that takes `Request`s and may fail.
pub(crate) trait Fallible<Request>:
    Service<Request, Response = Response, Error = ProxyError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<Request, S> Fallible<Request> for S where
    S: Service<Request, Response = Response, Error = ProxyError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Makes a tower layer.
pub(crate) fn layer<A>(around: A) -> AroundLayer<A> {
    AroundLayer(Arc::new(around))
}

/// See [`layer`].
pub(crate) struct AroundLayer<A>(Arc<A>);

impl<A, S> tower::Layer<S> for AroundLayer<A> {
    type Service = Layered<A, S>;

    fn layer(&self, next: S) -> Self::Service {
        Layered(Arc::new((Arc::clone(&self.0), next)))
    }
}

/// A layer on top of the rest of the stack.
pub(crate) struct Layered<A, S>(Arc<(Arc<A>, S)>);

impl<A, S> Clone for Layered<A, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Request, A, S> Service<Request> for Layered<A, S>
where
    Request: Send + 'static,
    A: Around<Request, S>,
    S: Clone + Send + Sync + 'static,
{
    type Response = Response;
    type Error = A::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, A::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { parts.0.call(request, parts.1.clone()).await })
    }
}
