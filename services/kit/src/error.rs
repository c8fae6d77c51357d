//! The one error of the services, with its tables: status, code, message.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of every answer that is not a success.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Stable word for programs, as `insufficient_stock`.
    #[schema(example = "not_found")]
    pub code: String,
    /// Sentence for people: what was wrong and what was expected.
    #[schema(example = "there is no product 99")]
    pub message: String,
}

/// Everything that can go wrong in a service, at start-up and per request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is refused; nothing was changed.
    #[error("{message}")]
    Refused {
        /// Status of the answer.
        status: StatusCode,
        /// `code` of the answer.
        code: &'static str,
        /// `message` of the answer.
        message: String,
    },
    /// A peer answered with an error.
    #[error("{peer} answered {status}: {message}")]
    PeerStatus {
        /// Name of the peer.
        peer: String,
        /// Its status.
        status: StatusCode,
        /// Its `code`, or the sidecar's reason, or empty.
        code: String,
        /// Its `message`, or a substitute.
        message: String,
    },
    /// A peer gave no answer in time.
    #[error("{peer} gave no answer within {milliseconds} ms")]
    PeerTimeout {
        /// Name of the peer.
        peer: String,
        /// How long it was waited for.
        milliseconds: u128,
    },
    /// A peer could not be reached, or the connection broke.
    #[error("{peer} cannot be reached: {problem}")]
    PeerUnreachable {
        /// Name of the peer.
        peer: String,
        /// What the client said.
        problem: String,
    },
    /// A peer's answer is not what its API promises.
    #[error("{peer} gave an answer that cannot be read: {problem}")]
    PeerAnswer {
        /// Name of the peer.
        peer: String,
        /// What the parser said.
        problem: String,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A stored value cannot be read back.
    #[error("stored data cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
    /// A task of the service ended unexpectedly.
    #[error("the work on this request was broken off")]
    BrokenOff,
    /// No address is known for a peer.
    #[error(
        "there is no address for the peer `{0}`: give --outbound URL (a sidecar) or --peer {0}=URL"
    )]
    UnknownPeer(String),
    /// The data folder cannot be used.
    #[error("cannot use {path} for data: {source}; choose another folder with --data-dir", path = path.display())]
    DataDir {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The database cannot be brought to this version's schema.
    #[error(
        "cannot migrate the database {path}: {source}; it may come from another version: move it away to start anew",
        path = path.display()
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What the migrator said.
        source: sqlx::migrate::MigrateError,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Telemetry cannot be installed.
    #[error(transparent)]
    Telemetry(#[from] mesh_telemetry::TelemetryError),
}

impl Error {
    /// A refusal with a status of the caller's choice.
    pub fn refused(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused {
            status,
            code,
            message: message.into(),
        }
    }

    /// 404: the thing named in the path does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 422: the body was read but a value in it cannot be accepted.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", message)
    }

    /// 409: the request contradicts the present state.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, code, message)
    }

    /// Status of the answer this error becomes.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::PeerStatus { status, .. } => status_for_peer(*status),
            Self::PeerTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::PeerUnreachable { .. } | Self::UnknownPeer(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::PeerAnswer { .. } => StatusCode::BAD_GATEWAY,
            Self::Database(error) if is_busy(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_)
            | Self::Stored(_)
            | Self::BrokenOff
            | Self::DataDir { .. }
            | Self::Open { .. }
            | Self::Migrate { .. }
            | Self::Listen { .. }
            | Self::Telemetry(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `code` of the answer this error becomes.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::PeerStatus { status, code, .. } if definite(*status) && !code.is_empty() => code,
            Self::PeerStatus { .. } => "upstream_failed",
            Self::PeerTimeout { .. } => "upstream_timeout",
            Self::PeerUnreachable { .. } | Self::UnknownPeer(_) => "upstream_unreachable",
            Self::PeerAnswer { .. } => "upstream_invalid",
            Self::Database(error) if is_busy(error) => "database_busy",
            Self::Database(_) => "database_failed",
            _ => "internal",
        }
    }

    /// Whether the peer definitely refused, so that nothing happened there.
    /// Anything else (timeout, broken connection, 5xx) may have taken effect.
    #[must_use]
    pub fn is_definite_refusal(&self) -> bool {
        matches!(self, Self::PeerStatus { status, .. } if definite(*status))
    }

    /// What the caller is told: internals of a failed database stay in the log.
    fn public_message(&self) -> String {
        match self {
            Self::Database(error) if is_busy(error) => "the database is busy, try again".to_owned(),
            Self::Database(_) | Self::Stored(_) => "the service failed internally".to_owned(),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = %self, "request failed");
        }
        error_response(status, self.code(), self.public_message())
    }
}

/// The `{code, message}` answer.
#[must_use]
pub fn error_response(status: StatusCode, code: &str, message: impl Into<String>) -> Response {
    let body = ErrorBody {
        code: code.to_owned(),
        message: message.into(),
    };
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A peer's refusal of what we sent is passed on; its failures become ours,
/// told apart as the gateway statuses of HTTP do.
fn status_for_peer(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => StatusCode::GATEWAY_TIMEOUT,
        status if status.is_client_error() => status,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn definite(status: StatusCode) -> bool {
    status.is_client_error()
        && status != StatusCode::REQUEST_TIMEOUT
        && status != StatusCode::TOO_EARLY
        && status != StatusCode::TOO_MANY_REQUESTS
}

/// `SQLITE_BUSY` (5) and its extended codes (the low byte is the primary code),
/// and a pool with no connection left: both pass by themselves.
fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| code & 0xff == 5),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(status: u16) -> Error {
        Error::PeerStatus {
            peer: "payments".into(),
            status: StatusCode::from_u16(status).unwrap(),
            code: "declined".into(),
            message: "no".into(),
        }
    }

    #[test]
    fn a_peers_failure_keeps_its_kind_and_a_crash_becomes_bad_gateway() {
        let seen: Vec<u16> = [404, 409, 429, 500, 501, 503, 504]
            .map(|status| peer(status).status().as_u16())
            .to_vec();
        assert_eq!(seen, [404, 409, 503, 502, 502, 503, 504]);
    }

    #[test]
    fn only_a_client_error_is_a_definite_refusal() {
        assert!(peer(402).is_definite_refusal());
        assert!(!peer(503).is_definite_refusal());
        assert!(!peer(429).is_definite_refusal());
        assert!(!Error::BrokenOff.is_definite_refusal());
    }

    #[test]
    fn a_refusal_keeps_the_peers_code_and_a_failure_names_the_peer() {
        assert_eq!(peer(402).code(), "declined");
        assert_eq!(peer(503).code(), "upstream_failed");
        assert!(peer(503).public_message().contains("payments"));
    }
}
