//! Answers of routes that ask nobody: redirects and direct responses.

use std::sync::Arc;

use http::HeaderValue;
use mesh_telemetry::proxy::Flags;

use super::{Around, Fallible, passing::Detour, request_telemetry::Verdict};
use crate::{body::Response, call::Routed, error::ProxyError, names};

/// The layer. It lets through what goes to a cluster.
pub(crate) struct Answer;

impl Detour<Routed> for Answer {
    fn is_needed(&self, routed: &Routed) -> bool {
        routed.route.answer.is_some()
    }
}

impl<Next: Fallible<Routed>> Around<Routed, Next> for Answer {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        let Some(answer) = &routed.route.answer else {
            return next.call(routed).await;
        };
        let mut response = answer.response(routed.request.uri(), routed.request.headers());
        let reason = answer.reason();
        let headers = response.headers_mut();
        headers.insert(names::REASON, HeaderValue::from_static(reason));
        response.extensions_mut().insert(Verdict {
            flags: Flags::NONE,
            reason: Some(reason),
        });
        Ok(response)
    }
}
