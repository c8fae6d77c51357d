//! Extractors whose refusals are `{code, message}` like every other error.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Largest request body a service reads, bytes: an order of a hundred items is
/// under 8 KiB, and the mesh replays bodies up to the same size.
pub const MAX_BODY: usize = 64 * 1024;

/// A JSON body, in and out. What comes in is always an object.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        require_json(request.headers())?;
        let bytes = read_body(request, state).await?;
        let read = serde_json::from_slice(&bytes).map_err(|error| json_error(&error));
        match read {
            Err(error) if error.status() == StatusCode::BAD_REQUEST => Err(error),
            _ if !is_object(&bytes) => Err(Error::invalid("the body: expected a JSON object")),
            read => read.map(Json),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Whether JSON begins as an object does. serde would also fill a struct from an
/// array, field by field: `["Ada"]` is no user.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

fn require_json(headers: &HeaderMap) -> Result<(), Error> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    let is_json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let got = match content_type {
        "" => "none".to_owned(),
        other => format!("`{other}`"),
    };
    Err(Error::refused(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("expected content-type application/json, got {got}"),
    ))
}

/// How long a body may take. It is at most [`MAX_BODY`] long: at this pace a modem
/// would do, and one who sends half of it and waits holds nothing for ever.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body whole, up to [`MAX_BODY`], for ten seconds at most.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(body) => body.map_err(|rejection| body_error(&rejection)),
        Err(_) => Err(Error::refused(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!("the body did not come within {BODY_PATIENCE:?}"),
        )),
    }
}

fn body_error(rejection: &BytesRejection) -> Error {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Error::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is larger than {MAX_BODY} bytes"),
            )
        }
        _ => Error::refused(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            "the body ended early or could not be read",
        ),
    }
}

/// Text that is no JSON is 400; JSON of another shape than expected is 422.
fn json_error(error: &serde_json::Error) -> Error {
    if error.is_data() {
        return Error::invalid(error.to_string());
    }
    Error::refused(
        StatusCode::BAD_REQUEST,
        "malformed_json",
        format!("the body is not JSON: {error}"),
    )
}

/// The path's parameters. One that cannot be parsed names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Path(value))
            .map_err(|_| Error::not_found(format!("there is nothing at {}", parts.uri.path())))
    }
}

/// The query string's parameters; a bad one is 400.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Query(value))
            .map_err(|rejection| {
                Error::refused(
                    StatusCode::BAD_REQUEST,
                    "invalid_query",
                    rejection.body_text(),
                )
            })
    }
}

/// The `Idempotency-Key` header, if the caller sent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// Longest accepted key, bytes; a UUID has 36.
const MAX_KEY: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Self(Some(key.to_owned()))),
            _ => Err(Error::refused(
                StatusCode::BAD_REQUEST,
                "invalid_idempotency_key",
                format!("expected an Idempotency-Key of 1 to {MAX_KEY} visible ASCII characters"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(Body::from_stream(never));
        let error = read_body(request, &()).await.unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (StatusCode::REQUEST_TIMEOUT, "body_timeout")
        );
    }
}
