//! Everything that can go wrong in the console, and how each is answered.

use std::{io, net::IpAddr, net::SocketAddr, path::PathBuf};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use mesh_proxy::config::Problem;

use crate::api::ApiError;

/// Errors of the console: those of its start, and those it answers requests with.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The machine gave no free port.
    #[error(
        "no free port on {host}: {source}; set `ports` in the mesh file to ports that are free"
    )]
    NoFreePort {
        /// Address to listen on.
        host: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The blocks of the instances reach past port 65535.
    #[error(
        "the instances need ten ports each from {first} on, which goes beyond 65535; set `ports.internal` lower"
    )]
    PortsExhausted {
        /// `ports.internal`.
        first: u16,
    },
    /// The mesh file cannot be read as one.
    #[error("{path}: {message}")]
    MeshUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// The mesh file says something that cannot be.
    #[error("the mesh file has problems:\n{}", list(.problems))]
    MeshInvalid {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// A listener could not be opened.
    #[error("cannot listen on {addr} ({purpose}): {source}; change it with {setting}")]
    Bind {
        /// What would listen.
        purpose: &'static str,
        /// How to move it.
        setting: &'static str,
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use {path}: {source}; choose another place with --data-dir")]
    DataDir {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A listener stopped working.
    #[error("a listener failed: {0}")]
    Serve(#[from] io::Error),
    /// Logs or metrics could not be set up.
    #[error("telemetry could not be set up: {0}")]
    Telemetry(String),
    /// A chaos rule cannot be put in force.
    #[error("rule `{id}` has problems: {}", list(.problems))]
    BadRule {
        /// Its id.
        id: String,
        /// All of them, by the rule's keys.
        problems: Vec<Problem>,
    },
    /// There is no such chaos rule.
    #[error("there is no rule `{id}`; there are: {known}")]
    UnknownRule {
        /// The id asked for.
        id: String,
        /// Ids of the rules there are.
        known: String,
    },
    /// There are enough rules.
    #[error("there are {most} rules, which is the most; remove one first")]
    TooManyRules {
        /// The bound.
        most: usize,
    },
    /// There is no such scenario.
    #[error("there is no scenario `{id}`; there are: {known}")]
    UnknownScenario {
        /// The id asked for.
        id: String,
        /// Ids of the scenarios there are.
        known: String,
    },
    /// One scenario runs at a time.
    #[error("scenario `{running}` runs; stop it first")]
    ScenarioRuns {
        /// The one that runs.
        running: String,
    },
    /// There is no mystery to be told of.
    #[error("{0}")]
    NothingToReveal(String),
    /// A sidecar names a service that the mesh file does not.
    #[error("`{service}` is no service of this mesh; known are: {known}")]
    UnknownService {
        /// The name given.
        service: String,
        /// The names there are.
        known: String,
    },
    /// An acknowledgement from a sidecar that holds no stream.
    #[error("sidecar `{instance}` of `{service}` holds no stream here; subscribe first")]
    UnknownSidecar {
        /// Its service.
        service: String,
        /// Its instance.
        instance: String,
    },
    /// More sidecars than the registry keeps.
    #[error("{most} sidecars are registered, which is the most")]
    TooManySidecars {
        /// The bound.
        most: usize,
    },
    /// A request that cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// A body of which one value cannot be read.
    #[error("the body is not right: {problem}")]
    BadBody {
        /// The value's key and what is wrong with it.
        problem: Problem,
    },
    /// A request from a place that may not ask.
    #[error("{0}")]
    Forbidden(String),
    /// There is nothing of this name.
    #[error("{0}")]
    NotFound(String),
    /// The method is not for this path.
    #[error("{0}")]
    WrongMethod(String),
    /// A body that is too large.
    #[error("{0}")]
    TooLarge(String),
    /// A body in a form that is not understood.
    #[error("{0}")]
    WrongMediaType(String),
}

impl ConsoleError {
    /// Status of the answer; 500 for what only happens at start.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRule { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnknownRule { .. }
            | Self::UnknownScenario { .. }
            | Self::UnknownService { .. }
            | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::UnknownSidecar { .. }
            | Self::TooManyRules { .. }
            | Self::ScenarioRuns { .. }
            | Self::NothingToReveal(_) => StatusCode::CONFLICT,
            Self::TooManySidecars { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadRequest(_) | Self::BadBody { .. } => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoFreePort { .. }
            | Self::PortsExhausted { .. }
            | Self::MeshUnreadable { .. }
            | Self::MeshInvalid { .. }
            | Self::Bind { .. }
            | Self::DataDir { .. }
            | Self::Serve(_)
            | Self::Telemetry(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Bounded code of the answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRule { .. } => "bad_rule",
            Self::UnknownRule { .. } => "unknown_rule",
            Self::TooManyRules { .. } => "too_many_rules",
            Self::UnknownScenario { .. } => "unknown_scenario",
            Self::ScenarioRuns { .. } => "scenario_runs",
            Self::NothingToReveal(_) => "nothing_to_reveal",
            Self::UnknownService { .. } => "unknown_service",
            Self::UnknownSidecar { .. } => "unknown_sidecar",
            Self::TooManySidecars { .. } => "too_many_sidecars",
            Self::BadRequest(_) | Self::BadBody { .. } => "bad_request",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::WrongMethod(_) => "wrong_method",
            Self::TooLarge(_) => "too_large",
            Self::WrongMediaType(_) => "wrong_media_type",
            Self::MeshUnreadable { .. } | Self::MeshInvalid { .. } => "bad_mesh_file",
            Self::NoFreePort { .. }
            | Self::PortsExhausted { .. }
            | Self::Bind { .. }
            | Self::DataDir { .. }
            | Self::Serve(_)
            | Self::Telemetry(_) => "internal",
        }
    }

    fn problems(self) -> Vec<Problem> {
        match self {
            Self::BadRule { problems, .. } | Self::MeshInvalid { problems } => problems,
            Self::BadBody { problem } => vec![problem],
            _ => Vec::new(),
        }
    }
}

impl IntoResponse for ConsoleError {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = ApiError {
            code: self.code().to_owned(),
            message: self.to_string(),
            problems: self.problems(),
        };
        (status, Json(body)).into_response()
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
