//! The wire: what belongs to one hop stays here, the rest goes on as it came.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, StatusCode, Version,
    header::{CONNECTION, EXPECT, UPGRADE},
};
use mesh_telemetry::proxy::{AttemptEvent, Direction};

use super::{deadline, hop};
use crate::{
    body::{Request, Response},
    call::{Attempt, Due},
    client::{self, Manner, Upstream},
    error::ProxyError,
    names,
    shared::Shared,
};

/// Innermost service: there is nothing below it.
#[derive(Clone)]
pub(crate) struct Forward(Arc<Hop>);

struct Hop {
    worker: usize,
    /// What goes out as `x-mesh-source`; inbound, what came in stays.
    source: Option<HeaderValue>,
}

impl Forward {
    pub(crate) fn new(shared: &Shared, direction: Direction, worker: usize) -> Self {
        let source = match direction {
            Direction::Outbound => Some(names::value(&shared.policy.owner().service)),
            Direction::Inbound => None,
        };
        Self(Arc::new(Hop { worker, source }))
    }
}

impl tower::Service<Attempt> for Forward {
    type Response = Response;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ProxyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let hop = Arc::clone(&self.0);
        Box::pin(async move {
            hop.prepare(&mut attempt);
            let manner = hop.manner(&mut attempt);
            let upstream = Upstream::new(attempt.endpoint, hop.worker);
            if let Some(secured) = upstream.secured() {
                attempt.scope.emit(AttemptEvent::Secured(secured));
            }
            let mut response = client::send(&upstream, attempt.request, manner).await?;
            strip_answer(&mut response);
            Ok(response)
        })
    }
}

impl Hop {
    fn manner(&self, attempt: &mut Attempt) -> Manner {
        let spoken = self.spoken(&mut attempt.request);
        let upgrade = attempt.request.headers().contains_key(UPGRADE);
        Manner {
            spoken,
            tells: self.source.is_some(),
            upgrade: upgrade && grant_upgrade(attempt),
            idle: attempt.route.times.idle,
        }
    }

    /// What the caller spoke: inbound, the first one's sidecar may know better.
    fn spoken(&self, request: &mut Request) -> Version {
        let said = request.headers_mut().remove(names::PROTOCOL);
        match said {
            Some(said) if self.source.is_none() && said == names::HTTP1 => Version::HTTP_11,
            _ => request.version(),
        }
    }

    fn prepare(&self, attempt: &mut Attempt) {
        let request = &mut attempt.request;
        let headers = request.headers_mut();
        // Answered by this sidecar as soon as the body is read.
        headers.remove(EXPECT);
        let covers_body = attempt.route.times.covers_body;
        let due = attempt.deadline.as_ref().filter(|_| covers_body);
        deadline::pass_on(headers, due.map(Due::instant));
        headers.remove(names::ATTEMPT);
        if let Some(source) = &self.source {
            headers.insert(names::SOURCE, source.clone());
            if attempt.number > 1 {
                headers.insert(names::ATTEMPT, attempt.number.into());
            }
        }
    }
}

/// Lets the wish for another protocol go on where the route does.
fn grant_upgrade(attempt: &mut Attempt) -> bool {
    let granted = attempt.route.upgrades;
    let headers = attempt.request.headers_mut();
    if granted {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
    granted
}

/// What the upstream says about its own connection goes no further, but for the
/// protocol that it switches to.
fn strip_answer(response: &mut Response) {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = switches.then(|| response.headers().get(UPGRADE).cloned());
    hop::strip(response.headers_mut());
    if let Some(protocol) = protocol.flatten() {
        response.headers_mut().insert(UPGRADE, protocol);
    }
}
