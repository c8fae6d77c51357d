//! Whose request arrived: the inbound policy, seen for this caller.

use std::sync::Arc;

use super::passing::Gate;
use crate::{
    call::{Call, Routed},
    error::ProxyError,
    names,
    shared::Shared,
    tls::Peer,
};

/// The layer.
pub(crate) struct Local(Arc<Shared>);

impl Local {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Gate<Call> for Local {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, mut call: Call) -> Result<Routed, ProxyError> {
        let policy = self.0.policy.load();
        let peer = call.request.extensions().get::<Arc<Peer>>().cloned();
        if let Some(peer) = peer {
            peer.correct(call.request.headers_mut());
        }
        let headers = call.request.headers();
        let caller = names::text(headers, &names::SOURCE);
        let no_application = || ProxyError::NoRoute {
            authority: String::new(),
        };
        let route = policy
            .local
            .as_ref()
            .ok_or_else(no_application)?
            .route(caller);
        call.scope.set_edge(&route.edge);
        let attempt = names::number(headers, &names::ATTEMPT);
        Ok(Routed {
            route: Arc::clone(route),
            callers_attempt: attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            deadline: None,
            request: call.request,
            scope: call.scope,
        })
    }
}
