//! The only place where an error becomes a response.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use super::{Around, Fallible, request_telemetry::Verdict};
use crate::{
    body::{Body, Response},
    call::Call,
    error::{Blow, ProxyError, Words},
    grpc, names,
    server::Severed,
};

/// The layer.
pub(crate) struct Rescue;

impl<Next: Fallible<Call>> Around<Call, Next> for Rescue {
    type Error = Infallible;

    async fn call(self: Arc<Self>, call: Call, mut next: Next) -> Result<Response, Infallible> {
        let is_grpc = grpc::is_grpc(call.request.headers());
        Ok(match next.call(call).await {
            Ok(response) => response,
            Err(error) => marked(response_to(&error, is_grpc), &error),
        })
    }
}

fn response_to(error: &ProxyError, is_grpc: bool) -> Response {
    match error.fault().map(|fault| &fault.blow) {
        Some(Blow::Sever) => severed(),
        Some(Blow::Grpc { code, message }) => {
            let own = || error.to_string().into();
            status_only(*code, &message.clone().unwrap_or_else(own))
        }
        _ if is_grpc => status_only(grpc::of_failure(error.status()), &error.to_string()),
        Some(Blow::Http {
            status,
            words: Some(words),
        }) => in_words(*status, words),
        _ => explained(error),
    }
}

/// Nobody will see it: the connection that it would go over is broken instead.
fn severed() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Severed);
    response
}

/// As a rule says it.
fn in_words(status: StatusCode, words: &Words) -> Response {
    let mut response = Response::new(Body::from(words.body.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, words.content_type.clone());
    response
}

#[derive(Serialize)]
struct Explanation {
    code: &'static str,
    message: String,
}

/// For callers of HTTP.
fn explained(error: &ProxyError) -> Response {
    let explanation = Explanation {
        code: error.reason(),
        message: error.to_string(),
    };
    let json = serde_json::to_vec(&explanation).unwrap_or_default(); // two strings cannot fail
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = error.status();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// For callers of gRPC, who look for a status of theirs and find an answer of 200.
fn status_only(code: u16, message: &str) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(CONTENT_TYPE, grpc);
    headers.insert(grpc::STATUS, code.into());
    headers.insert(grpc::MESSAGE, grpc::message(message));
    response
}

fn marked(mut response: Response, error: &ProxyError) -> Response {
    let code = error.reason();
    let headers = response.headers_mut();
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
