//! Until when there must be an answer: the route's time or what the caller has
//! left, whichever is less. Covers all attempts, the pauses between them, and the
//! body of the answer.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use mesh_telemetry::proxy::RequestEvent;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{Around, Fallible};
use crate::{
    body::{Body, BodyError, Response},
    call::Routed,
    error::ProxyError,
    names,
};

/// The layer.
pub(crate) struct Deadline;

impl<Next: Fallible<Routed>> Around<Routed, Next> for Deadline {
    type Error = ProxyError;

    async fn call(&self, mut routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        let Some(left) = time_left(&routed) else {
            return next.call(routed).await;
        };
        routed.scope.emit(RequestEvent::DeadlineSet { left });
        if left.is_zero() {
            return Err(ProxyError::Deadline);
        }
        let deadline = Instant::now() + left;
        routed.deadline = Some(deadline);
        let response = timeout_at(deadline, next.call(routed))
            .await
            .unwrap_or(Err(ProxyError::Deadline))?;
        Ok(response.map(|body| until(deadline, body)))
    }
}

fn time_left(routed: &Routed) -> Option<Duration> {
    let callers =
        names::number(routed.request.headers(), &names::DEADLINE_MS).map(Duration::from_millis);
    match (routed.route.times.deadline, callers) {
        (Some(own), Some(callers)) => Some(own.min(callers)),
        (own, callers) => own.or(callers),
    }
}

fn until(deadline: Instant, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(Until {
        body,
        deadline,
        timer: None,
    })
}

/// A body that breaks off at the deadline. The timer is made only when the body
/// keeps its reader waiting, which most never do.
struct Until {
    body: Body,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(BodyError::new(ProxyError::Deadline))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
