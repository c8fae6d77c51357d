//! Passing a request on to the service it is for.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use kit::error::error_response;
use kit::{Error, Peer, Result};

/// What of a caller's headers the services may see. The trace is not among
/// them: the call to the service carries on the gateway's own span.
const PASSED_ON: [HeaderName; 4] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    header::USER_AGENT,
];

/// Headers that belong to one connection, not to the answer.
const HOP_BY_HOP: [HeaderName; 4] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
];

/// Answers with what the peer answers. The request's body is read first: it is
/// small, and one that is too large is refused before anybody else sees it.
pub(crate) async fn forward(State(peer): State<Peer>, request: Request) -> Result<Response> {
    let mut onward = Request::builder()
        .method(request.method())
        .uri(origin_form(&request));
    if let Some(headers) = onward.headers_mut() {
        pass_on(request.headers(), headers);
    }
    let body = kit::extract::read_body(request, &()).await?;
    let onward = onward
        .body(Body::from(body))
        .map_err(|_| Error::not_found("this path cannot be passed on"))?;
    let answer = peer.send(onward).await?;
    Ok(present(&peer, answer))
}

fn origin_form(request: &Request) -> String {
    let path = request.uri().path_and_query();
    path.map_or("/", http::uri::PathAndQuery::as_str).to_owned()
}

fn pass_on(from: &HeaderMap, to: &mut HeaderMap) {
    for name in PASSED_ON {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}

/// Errors of the services are JSON already. A sidecar that answers in a
/// service's place gives its reason in a header only.
fn present(peer: &Peer, mut answer: Response) -> Response {
    let status = answer.status();
    let failed = status.is_client_error() || status.is_server_error();
    if failed && !is_json(answer.headers()) {
        let reason = answer.headers().get("x-mesh-reason").cloned();
        return in_words(peer, status, reason);
    }
    for name in HOP_BY_HOP {
        answer.headers_mut().remove(name);
    }
    answer.into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

fn in_words(peer: &Peer, status: http::StatusCode, reason: Option<HeaderValue>) -> Response {
    let why = reason.as_ref().and_then(|reason| reason.to_str().ok());
    let code = why.unwrap_or("upstream_failed");
    let message = format!(
        "{} gave no answer of its own: {status} ({code})",
        peer.name()
    );
    let mut response = error_response(status, code, message);
    if let Some(reason) = reason {
        response.headers_mut().insert("x-mesh-reason", reason);
    }
    response
}
