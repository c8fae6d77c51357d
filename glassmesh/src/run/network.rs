//! What the command is put into: a running mesh, or a few addresses.

use std::str::FromStr;

use http::Uri;

use super::RunArgs;
use crate::{console_client, failure::Failure};

/// A service that can be called without a console: `payments=127.0.0.1:9001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) endpoint: String,
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, endpoint)) if !name.is_empty() && endpoint.contains(':') => Ok(Self {
                name: name.to_owned(),
                endpoint: endpoint.to_owned(),
            }),
            _ => Err("expected a name and an address, as `payments=127.0.0.1:9001`".to_owned()),
        }
    }
}

/// See the module.
pub(super) enum Network {
    /// A console tells who there is, and takes spans.
    Mesh { console: Uri, otlp: Otlp },
    /// A file or options tell.
    Alone,
}

/// Where a console takes spans.
pub(super) struct Otlp {
    grpc: String,
    http: String,
}

impl Network {
    /// Asks the console, unless the options do without one.
    pub(super) async fn find(args: &RunArgs) -> Result<Self, Failure> {
        if args.config.is_some() || !args.cluster.is_empty() {
            return Ok(Self::Alone);
        }
        let console = console_client::base(args.console.as_ref())?;
        let client = console_client::ConsoleClient::new(console.clone());
        let overview = client.overview().await.map_err(|error| {
            error.context("there is no mesh to join (--cluster NAME=HOST:PORT does without one)")
        })?;
        let host = console.host().unwrap_or("127.0.0.1");
        let otlp = Otlp {
            grpc: format!("http://{host}:{}", overview.otlp_grpc),
            http: format!("http://{host}:{}", overview.otlp_http),
        };
        Ok(Self::Mesh { console, otlp })
    }

    pub(super) fn console(&self) -> Option<&Uri> {
        match self {
            Self::Mesh { console, .. } => Some(console),
            Self::Alone => None,
        }
    }

    pub(super) fn otlp_grpc(&self) -> Option<String> {
        match self {
            Self::Mesh { otlp, .. } => Some(otlp.grpc.clone()),
            Self::Alone => None,
        }
    }

    pub(super) fn otlp_http(&self) -> Option<&str> {
        match self {
            Self::Mesh { otlp, .. } => Some(&otlp.http),
            Self::Alone => None,
        }
    }

    /// All traces, where there is a console to look at them.
    pub(super) fn sample_ratio(&self) -> Option<f64> {
        self.console().map(|_| 1.0)
    }

    pub(super) fn not_ready(&self) -> String {
        match self {
            Self::Mesh { console, .. } => {
                format!("the console at {console} sent the sidecar no policy in time")
            }
            Self::Alone => "the sidecar did not get ready in time".to_owned(),
        }
    }
}
