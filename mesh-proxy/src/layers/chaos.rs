//! Faults on purpose.
//!
//! The layer stands at three places and means each time what lies below it:
//! before `retry` the whole dependency, after it one attempt, inbound the node.
//!
//! At each place the rules are asked in their order: does the request meet the
//! conditions, and does what is drawn for one of the faults lie below its share? A rule
//! that strikes does so before the next one is asked, so that a request that was ended
//! never reaches it. Faults of the answer wait until there is one.

mod body;
mod chance;
mod draw;
pub(crate) mod matching;
pub(crate) mod post;
mod receipt;
pub(crate) mod rule;
mod strike;
mod victim;

use std::sync::Arc;

use http::HeaderMap;
use mesh_telemetry::proxy::Direction;

use super::{Around, Fallible, passing::Lookout};
use crate::{
    body::{Request, Response},
    call::{Attempt, Routed},
    config::FaultKind,
    error::ProxyError,
    policy::RouteState,
    tls::Peer,
};
use matching::Subject;
use post::Posts;
use strike::Strike;
use victim::Victim;

/// What a fault of a rule with this id and seed draws for an attempt of a trace, 0 to 1:
/// below the fault's share it strikes. Lets a fault that was seen be explained, and a
/// test choose a trace that is hit.
#[must_use]
pub fn redraw(seed: u64, rule: &str, fault: FaultKind, trace_id: [u8; 16], attempt: u32) -> f64 {
    draw::draw(seed, draw::fault_key(rule, fault), trace_id, attempt)
}

/// The layer. A request that no rule strikes passes it by.
pub(crate) struct Chaos;

impl<R: Target> Lookout<R> for Chaos {
    type Seen = Strike;

    fn look(&self, request: &R) -> Option<Strike> {
        request.posts().strike(request, 0)
    }
}

impl<R: Target, Next: Fallible<R>> Around<(R, Strike), Next> for Chaos {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        (mut request, first): (R, Strike),
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        let mut answers = Vec::new();
        let mut strike = Some(first);
        while let Some(one) = strike {
            let after = one.next;
            answers.extend(one.befall(&mut request).await?);
            strike = request.posts().strike(&request, after);
        }
        request.goes_on();
        let victim = request.victim();
        let response = next.call(request).await?;
        let answers = answers.into_iter();
        Ok(answers.fold(response, |response, one| one.afflict(response, &victim)))
    }
}

/// What a fault can strike.
pub(crate) trait Target: Send + 'static {
    fn request(&self) -> &Request;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    fn route(&self) -> &RouteState;
    /// Rules for it.
    fn posts(&self) -> &Posts;
    /// What a draw depends on.
    fn trace_id(&self) -> [u8; 16];
    /// The other thing it depends on.
    fn attempt(&self) -> u32;
    /// Whose record says so.
    fn victim(&self) -> Victim;
    /// It was struck, and is sent all the same.
    fn goes_on(&mut self) {}

    /// It has arrived where it is for: what breaks, breaks for its caller.
    fn is_node(&self) -> bool {
        self.route().edge.direction() == Direction::Inbound
    }

    /// What rules look at.
    fn subject(&self) -> Subject<'_> {
        let (request, edge) = (self.request(), &self.route().edge);
        let peer = request.extensions().get::<Arc<Peer>>();
        Subject {
            method: request.method(),
            path: request.uri().path(),
            headers: request.headers(),
            route: edge.route(),
            caller: edge.source(),
            peer: peer.and_then(|peer| peer.secured().peer.as_deref()),
        }
    }
}

impl Target for Routed {
    fn request(&self) -> &Request {
        &self.request
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }
    fn route(&self) -> &RouteState {
        &self.route
    }
    fn posts(&self) -> &Posts {
        &self.route.request_faults
    }
    fn trace_id(&self) -> [u8; 16] {
        self.scope.trace_id().to_bytes()
    }
    fn attempt(&self) -> u32 {
        self.callers_attempt
    }
    fn victim(&self) -> Victim {
        Victim::Request(self.scope.clone())
    }
}

impl Target for Attempt {
    fn request(&self) -> &Request {
        &self.request
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }
    fn route(&self) -> &RouteState {
        &self.route
    }
    fn posts(&self) -> &Posts {
        &self.route.attempt_faults
    }
    fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }
    fn attempt(&self) -> u32 {
        self.number
    }
    fn victim(&self) -> Victim {
        Victim::Attempt(self.scope.clone())
    }
    /// A trace that met a fault is kept from here on, whatever was said when the
    /// attempt began.
    fn goes_on(&mut self) {
        self.scope.inject(self.request.headers_mut());
    }
}
