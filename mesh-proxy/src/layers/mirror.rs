//! A copy of a share of the requests goes to another cluster; its answers are
//! dropped. The copy is taken while the request is sent and starts when its body
//! has gone by, so that nobody waits for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{header::UPGRADE, request::Parts};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use mesh_telemetry::{
    proxy::{Direction, RequestOutcome, RequestScope},
    task,
};
use tokio::time::{Instant, timeout_at};

use super::{Fallible, passing::Gate, retry::REPLAY_CAP};
use crate::{
    body::{Body, BodyError, Request, Response},
    call::{Due, Routed, Try},
    error::ProxyError,
    policy::{MirrorState, RouteState},
    shared::Shared,
};

/// The layer; `S` is the stack of one attempt.
pub(crate) struct Mirror<S> {
    shared: Arc<Shared>,
    shadow: S,
}

impl<S> Mirror<S> {
    pub(crate) fn new(shared: &Arc<Shared>, shadow: S) -> Self {
        Self {
            shared: Arc::clone(shared),
            shadow,
        }
    }
}

impl<S: Fallible<Try>> Gate<Routed> for Mirror<S> {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, mut routed: Routed) -> Result<Routed, ProxyError> {
        if let Some(mirror) = self.chosen(&routed.route) {
            let copy = Copy {
                head: head_of(&routed.request),
                route: Arc::clone(&mirror.route),
                shared: Arc::clone(&self.shared),
                shadow: self.shadow.clone(),
            };
            routed.request = routed.request.map(|body| copy.follow(body));
        }
        Ok(routed)
    }
}

impl<S> Mirror<S> {
    fn chosen<'a>(&self, route: &'a RouteState) -> Option<&'a MirrorState> {
        let mirror = route.mirror.as_ref()?;
        (self.shared.random.unit() < mirror.share).then_some(mirror)
    }
}

fn head_of(request: &Request) -> Parts {
    let mut copy = Request::new(Body::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.headers_mut().remove(UPGRADE); // nobody is there to speak another protocol with
    copy.into_parts().0
}

/// A request that will be sent to the shadow cluster.
struct Copy<S> {
    head: Parts,
    route: Arc<RouteState>,
    shared: Arc<Shared>,
    shadow: S,
}

impl<S: Fallible<Try>> Copy<S> {
    fn follow(self, body: Body) -> Body {
        if body.is_end_stream() {
            self.send(Bytes::new());
            return body;
        }
        let seen = Vec::new();
        Body::new(Tee {
            body,
            seen,
            copy: Some(self),
        })
    }

    fn send(self, body: Bytes) {
        // The copies in flight are capped as the requests are; one over it is left out.
        if let Ok(slot) = self.route.limits.take_slot() {
            task::spawn("mirror", async move {
                self.exchange(body).await;
                drop(slot);
            });
        }
    }

    async fn exchange(mut self, body: Bytes) {
        let scope = RequestScope::begin(&self.shared.sink, Direction::Outbound, &self.head);
        scope.set_edge(&self.route.edge);
        let deadline = self.route.times.deadline.map(|time| Instant::now() + time);
        let one = Try {
            request: Request::from_parts(self.head, Body::new(Full::new(body))),
            scope: scope.clone(),
            route: self.route,
            deadline: deadline.map(Due::at),
            number: 1,
            tried: None,
        };
        let answer = drained(self.shadow.call(one));
        let result = match deadline {
            Some(deadline) => timeout_at(deadline, answer)
                .await
                .unwrap_or(Err(ProxyError::Deadline)),
            None => answer.await,
        };
        scope.finish(outcome(&result));
    }
}

async fn drained(
    answer: impl Future<Output = Result<Response, ProxyError>>,
) -> Result<u16, ProxyError> {
    let mut response = answer.await?;
    while let Some(Ok(_)) = response.body_mut().frame().await {}
    Ok(response.status().as_u16())
}

fn outcome(result: &Result<u16, ProxyError>) -> RequestOutcome {
    match result {
        Ok(status) => RequestOutcome {
            status: Some(*status),
            ..RequestOutcome::default()
        },
        Err(error) => RequestOutcome {
            status: Some(error.status().as_u16()),
            grpc_status: None,
            flags: error.flags(),
            reason: Some(error.reason()),
            bytes: None,
        },
    }
}

/// Passes a body on and keeps what went by. A body over the cap is not mirrored.
struct Tee<S> {
    body: Body,
    seen: Vec<u8>,
    copy: Option<Copy<S>>,
}

impl<S: Fallible<Try>> Tee<S> {
    fn see(&mut self, data: &Bytes) {
        if self.copy.is_none() {
            return;
        }
        if self.seen.len() + data.len() > REPLAY_CAP {
            self.copy = None;
            self.seen = Vec::new();
        } else {
            self.seen.extend_from_slice(data);
        }
    }

    fn complete(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.send(std::mem::take(&mut self.seen).into());
        }
    }
}

impl<S> Unpin for Tee<S> {}

impl<S: Fallible<Try>> http_body::Body for Tee<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.see(data);
                }
                if self.body.is_end_stream() {
                    self.complete();
                }
            }
            Some(Err(_)) => self.copy = None,
            None => self.complete(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
