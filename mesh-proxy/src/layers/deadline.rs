//! Until when there must be an answer: the route's time or what the caller has left,
//! whichever is less. Covers all attempts, the pauses between them, and the bodies,
//! unless the route says that it ends with the head of the answer.

mod timed;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use mesh_telemetry::proxy::RequestEvent;
use tokio::time::Instant;

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::Response,
    call::{Due, Routed},
    error::ProxyError,
    grpc, names,
};
use timed::Bounds;

/// The layer.
pub(crate) struct Deadline;

impl Detour<Routed> for Deadline {
    fn is_needed(&self, routed: &Routed) -> bool {
        let times = &routed.route.times;
        times.deadline.is_some() || times.idle.is_some() || time_left(routed).is_some()
    }
}

impl<Next: Fallible<Routed>> Around<Routed, Next> for Deadline {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        mut routed: Routed,
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        if let Some(left) = time_left(&routed) {
            routed.scope.emit(RequestEvent::DeadlineSet { left });
            if left.is_zero() {
                return Err(ProxyError::Deadline);
            }
            routed.deadline = Some(Due::at(Instant::now() + left));
        }
        let due = routed.deadline.clone();
        let times = &routed.route.times;
        let covering = due.as_ref().filter(|_| times.covers_body);
        let bounds = Bounds::new(covering.map(Due::instant), times.idle);
        let cut = bounds.hold_upload(&mut routed.request);
        let answer = next.call(routed);
        let mut result = match due {
            Some(due) => due.hold(answer).await.unwrap_or(Err(ProxyError::Deadline)),
            None => answer.await,
        };
        if let Some(cut) = cut {
            result = cut.explain(result);
        }
        Ok(result?.map(|body| bounds.hold_download(body)))
    }
}

fn time_left(routed: &Routed) -> Option<Duration> {
    let headers = routed.request.headers();
    let callers = names::number(headers, &names::DEADLINE_MS).map(Duration::from_millis);
    let grpc = grpc::timeout(headers).filter(|_| grpc::is_grpc(headers));
    let own = routed.route.times.deadline;
    [own, callers, grpc].into_iter().flatten().min()
}

/// Tells the next one what is left of a deadline that covers the bodies, too; of any
/// other it would make more than it is.
pub(super) fn pass_on(headers: &mut HeaderMap, deadline: Option<Instant>) {
    let Some(deadline) = deadline else {
        headers.remove(names::DEADLINE_MS);
        return;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    headers.insert(names::DEADLINE_MS, HeaderValue::from(milliseconds));
    if grpc::is_grpc(headers) {
        headers.insert(grpc::TIMEOUT, grpc::timeout_value(left));
    }
}
