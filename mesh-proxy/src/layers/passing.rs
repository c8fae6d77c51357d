//! Layers that cost no allocation: gates, which decide on a request's way down and
//! never see its answer, and detours and lookouts, which most requests pass by.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{Around, Running};
use crate::body::Response;

/// A layer that lets a request pass, as something else or changed, or refuses it.
pub(crate) trait Gate<Request>: Send + Sync + 'static {
    /// What goes on.
    type Passed;
    /// Why something does not.
    type Error;

    /// Decides about one request.
    fn pass(&self, request: Request) -> Result<Self::Passed, Self::Error>;
}

/// A layer that a request may not need.
pub(crate) trait Detour<Request>: Send + Sync + 'static {
    /// Whether this request does.
    fn is_needed(&self, request: &Request) -> bool;
}

/// A layer that stops some requests, for what it saw in them.
pub(crate) trait Lookout<Request>: Send + Sync + 'static {
    /// What it saw; handed on together with the request.
    type Seen;

    /// Looks at a request once; none: it passes by.
    fn look(&self, request: &Request) -> Option<Self::Seen>;
}

/// Makes a tower layer of a gate.
pub(crate) fn gate<G>(gate: G) -> PassingLayer<G, Gated> {
    PassingLayer(Arc::new(gate), Gated)
}

/// Makes a tower layer that only some requests go through.
pub(crate) fn detour<A>(around: A) -> PassingLayer<A, Bypassed> {
    PassingLayer(Arc::new(around), Bypassed)
}

/// Makes a tower layer that stops what it looks for.
pub(crate) fn lookout<A>(around: A) -> PassingLayer<A, Stopped> {
    PassingLayer(Arc::new(around), Stopped)
}

/// See [`gate`].
#[derive(Clone, Copy)]
pub(crate) struct Gated;

/// See [`detour`].
#[derive(Clone, Copy)]
pub(crate) struct Bypassed;

/// See [`lookout`].
#[derive(Clone, Copy)]
pub(crate) struct Stopped;

/// See [`gate`], [`detour`] and [`lookout`].
pub(crate) struct PassingLayer<A, K>(Arc<A>, K);

impl<A, K: Copy, S> tower::Layer<S> for PassingLayer<A, K> {
    type Service = Passing<A, K, S>;

    fn layer(&self, next: S) -> Self::Service {
        Passing(Arc::new((Arc::clone(&self.0), next)), self.1)
    }
}

/// A gate, a detour or a lookout on top of the rest of the stack.
pub(crate) struct Passing<A, K, S>(Arc<(Arc<A>, S)>, K);

impl<A, K: Copy, S> Clone for Passing<A, K, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), self.1)
    }
}

impl<Request, G, S> Service<Request> for Passing<G, Gated, S>
where
    G: Gate<Request>,
    S: Service<G::Passed, Response = Response, Error = G::Error, Future: Unpin> + Clone,
    G::Error: Unpin,
{
    type Response = Response;
    type Error = G::Error;
    type Future = Way<S::Future, Option<G::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), G::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (gate, next) = &*self.0;
        match gate.pass(request) {
            Ok(passed) => Way::Straight(next.clone().call(passed)),
            Err(error) => Way::Other(Some(error)),
        }
    }
}

impl<Request, A, S> Service<Request> for Passing<A, Bypassed, S>
where
    A: Around<Request, S> + Detour<Request>,
    S: Service<Request, Response = Response, Error = A::Error, Future: Unpin> + Clone,
{
    type Response = Response;
    type Error = A::Error;
    type Future = Way<S::Future, Running<A::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (around, next) = &*self.0;
        if around.is_needed(&request) {
            Way::Other(Box::pin(Arc::clone(around).call(request, next.clone())))
        } else {
            Way::Straight(next.clone().call(request))
        }
    }
}

impl<Request, A, S> Service<Request> for Passing<A, Stopped, S>
where
    A: Lookout<Request> + Around<(Request, A::Seen), S>,
    S: Service<Request, Response = Response, Error = A::Error, Future: Unpin> + Clone,
{
    type Response = Response;
    type Error = A::Error;
    type Future = Way<S::Future, Running<A::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (around, next) = &*self.0;
        match around.look(&request) {
            Some(seen) => Way::Other(Box::pin(
                Arc::clone(around).call((request, seen), next.clone()),
            )),
            None => Way::Straight(next.clone().call(request)),
        }
    }
}

/// Past a layer, or not: a refusal, or through it.
pub(crate) enum Way<F, O> {
    Straight(F),
    Other(O),
}

impl<F, E> Future for Way<F, Option<E>>
where
    F: Future<Output = Result<Response, E>> + Unpin,
    E: Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Straight(next) => Pin::new(next).poll(cx),
            Self::Other(refused) => match refused.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending, // polled after its end
            },
        }
    }
}

impl<F, E> Future for Way<F, Running<E>>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Straight(next) => Pin::new(next).poll(cx),
            Self::Other(around) => around.as_mut().poll(cx),
        }
    }
}
