//! The layers of the stack, one file each, and the little that they share.
//!
//! A layer implements [`Around`]: one async function from a request and the rest
//! of the stack to a response. [`layer`] makes a tower layer of it. Services are
//! always ready and cheap to clone (one count), so the rest of the stack is
//! handed to the layer by value.
//!
//! Such a function costs an allocation. What only looks at a request on its way down
//! is a [`Gate`], and what most requests do not need a [`Detour`]: see [`passing`].

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
pub(crate) mod passing;
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

    /// Handles one request. By count, not by reference: what runs owns all it needs,
    /// and lies in one box.
    fn call(
        self: Arc<Self>,
        request: Request,
        next: Next,
    ) -> impl Future<Output = Result<Response, Self::Error>> + Send + 'static;
}

/// The rest of a stack that takes `Request`s and may fail.
pub(crate) trait Fallible<Request>:
    Service<Request, Response = Response, Error = ProxyError, Future: Send + Unpin + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<Request, S> Fallible<Request> for S where
    S: Service<Request, Response = Response, Error = ProxyError, Future: Send + Unpin + 'static>
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

/// What a layer is doing.
pub(crate) type Running<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl<Request, A, S> Service<Request> for Layered<A, S>
where
    A: Around<Request, S>,
    S: Clone,
{
    type Response = Response;
    type Error = A::Error;
    type Future = Running<A::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (around, next) = &*self.0;
        Box::pin(Arc::clone(around).call(request, next.clone()))
    }
}
