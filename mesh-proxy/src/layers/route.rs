//! Which cluster a request of the application goes to, and under which policy.

use std::sync::Arc;

use super::passing::Gate;
use crate::{
    body::Request,
    call::{Call, Routed},
    error::ProxyError,
    paths::normal,
    policy::{RouteState, authority},
    routing::Asked,
    shared::Shared,
};

/// Longest part of an unknown authority that is quoted back.
const QUOTED: usize = 100;

/// The layer.
pub(crate) struct Route(Arc<Shared>);

impl Route {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    fn find(&self, request: &Request) -> Result<Arc<RouteState>, ProxyError> {
        let (uri, headers) = (request.uri(), request.headers());
        let authority = authority(uri, headers);
        let asked = Asked {
            authority,
            method: request.method(),
            path: &normal(uri.path()),
            query: uri.query(),
            headers,
        };
        let policy = self.0.policy.load();
        let target = policy.routes.find(&asked);
        target
            .and_then(|target| target.choose(headers, &self.0.random))
            .cloned()
            .ok_or_else(|| ProxyError::NoRoute {
                authority: authority.unwrap_or_default().chars().take(QUOTED).collect(),
            })
    }
}

impl Gate<Call> for Route {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, call: Call) -> Result<Routed, ProxyError> {
        let route = self.find(&call.request)?;
        call.scope.set_edge(&route.edge);
        Ok(Routed {
            request: call.request,
            scope: call.scope,
            route,
            deadline: None,
            callers_attempt: 1,
        })
    }
}
