//! What a route changes about its requests and their answers.

use std::sync::Arc;

use mesh_telemetry::proxy::RequestEvent;

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::Response, call::Routed, error::ProxyError, policy::RouteState, routing::changes::Changes,
};

/// The layer.
pub(crate) struct Rewrite;

impl Detour<Routed> for Rewrite {
    fn is_needed(&self, routed: &Routed) -> bool {
        routed.route.changes.is_some()
    }
}

impl<Next: Fallible<Routed>> Around<Routed, Next> for Rewrite {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        mut routed: Routed,
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        let route: Arc<RouteState> = Arc::clone(&routed.route);
        let Some(changes) = &route.changes else {
            return next.call(routed).await;
        };
        change(&mut routed, changes)?;
        let mut response = next.call(routed).await?;
        changes.edit_response(response.headers_mut());
        Ok(response)
    }
}

fn change(routed: &mut Routed, changes: &Changes) -> Result<(), ProxyError> {
    if let Some(uri) = changes.uri(routed.request.uri()) {
        let uri = uri.map_err(|_| ProxyError::PathTooLong)?;
        let to = uri.clone();
        routed.scope.emit(RequestEvent::Rewritten { to });
        *routed.request.uri_mut() = uri;
    }
    changes.edit_request(routed.request.headers_mut());
    Ok(())
}
