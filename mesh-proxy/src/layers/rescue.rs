//! The only place where an error becomes a response.

use std::{convert::Infallible, time::Duration};

use http::{
    HeaderValue,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use super::{Around, Fallible, request_telemetry::Verdict};
use crate::{
    body::{Body, Response},
    call::Call,
    error::ProxyError,
    names,
};

/// The layer.
pub(crate) struct Rescue;

impl<Next: Fallible<Call>> Around<Call, Next> for Rescue {
    type Error = Infallible;

    async fn call(&self, call: Call, mut next: Next) -> Result<Response, Infallible> {
        Ok(next
            .call(call)
            .await
            .unwrap_or_else(|error| respond(&error)))
    }
}

#[derive(Serialize)]
struct Explanation {
    code: &'static str,
    message: String,
}

fn respond(error: &ProxyError) -> Response {
    let code = error.reason();
    let explanation = Explanation {
        code,
        message: error.to_string(),
    };
    let json = serde_json::to_vec(&explanation).unwrap_or_default(); // two strings cannot fail
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(names::REASON, HeaderValue::from_static(code));
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, seconds(wait));
    }
    response.extensions_mut().insert(Verdict {
        flags: error.flags(),
        reason: Some(code),
    });
    response
}

/// Whole seconds, one at least: 0 would call back at once whoever was too many.
fn seconds(wait: Duration) -> HeaderValue {
    let rounded_up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    rounded_up.max(1).into()
}
