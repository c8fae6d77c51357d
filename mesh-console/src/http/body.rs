//! JSON bodies, read strictly and refused in the API's own words.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use mesh_proxy::config::Problem;
use serde::de::DeserializeOwned;

use crate::ConsoleError;

/// Largest body of the API and of the control protocol, bytes: far beyond any rule, and
/// beyond a report of the most rules there can be.
pub(crate) const LARGEST_BODY: usize = 128 * 1024;

/// A JSON body of the right type.
pub(crate) struct Strict<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Strict<T> {
    type Rejection = ConsoleError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ConsoleError> {
        require_json(request.headers())?;
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|error| match error.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => ConsoleError::TooLarge(format!(
                        "the body is too large; send at most {LARGEST_BODY} bytes"
                    )),
                    _ => ConsoleError::BadRequest(format!("the body cannot be read: {error}")),
                })?;
        read(&bytes).map(Self)
    }
}

/// Says which key it is that cannot be read: a form shows it there.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConsoleError> {
    let json = &mut serde_json::Deserializer::from_slice(bytes);
    let unread = |error: serde_json::Error| {
        ConsoleError::BadRequest(format!("the body is not right: {error}"))
    };
    let value = serde_path_to_error::deserialize(&mut *json).map_err(|error| {
        let key = error.path().to_string();
        match key.as_str() {
            "." => unread(error.into_inner()),
            _ => ConsoleError::BadBody {
                problem: Problem {
                    key,
                    message: without_place(&error.into_inner()),
                },
            },
        }
    })?;
    json.end().map(|()| value).map_err(unread)
}

/// The key says where; line and column of a body that a form made help nobody.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// A query string of the right type.
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ConsoleError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(query)| Self(query))
            .map_err(|error| ConsoleError::BadRequest(error.body_text()))
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), ConsoleError> {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ConsoleError::WrongMediaType(format!(
        "`{value}` is not understood; send `content-type: application/json`"
    )))
}
