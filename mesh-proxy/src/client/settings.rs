//! How endpoints are spoken to: what connections are made of, and how long they live.

use std::time::Duration;

use http::Version;

use crate::config::{self, Protocol};

/// See the module. Connections that were made under other settings are not used again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) protocol: Protocol,
    /// For a new connection, everything included that comes before its first request.
    pub(crate) connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub(crate) idle_timeout: Duration,
    /// Age after which a connection takes no new requests.
    pub(crate) max_age: Option<Duration>,
    /// Most connections of one worker.
    pub(crate) max_connections: Option<usize>,
}

impl Settings {
    /// Of a cluster's endpoints.
    pub(crate) fn of(cluster: &config::Cluster) -> Self {
        Self {
            protocol: cluster.protocol,
            connect_timeout: cluster.connect_timeout,
            idle_timeout: cluster.idle_timeout,
            max_age: cluster.max_connection_age,
            max_connections: cluster.max_connections,
        }
    }

    /// Of the application beside the sidecar: the defaults of a cluster.
    pub(crate) fn of_application(protocol: Protocol) -> Self {
        Self {
            protocol,
            ..Self::of(&config::Cluster::new(Vec::new()))
        }
    }

    /// What a request goes out as. An upgrade is a matter of HTTP/1.1.
    pub(super) fn wanted(&self, spoken: Version, upgrade: bool) -> Wanted {
        match self.protocol {
            _ if upgrade => Wanted::Http1,
            Protocol::Http1 => Wanted::Http1,
            Protocol::Http2 => Wanted::Http2,
            Protocol::Auto if spoken == Version::HTTP_2 => Wanted::Http2,
            Protocol::Auto => Wanted::Http1,
        }
    }
}

/// The protocols that a request can go out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// Whichever the upstream chooses (ALPN).
    Either,
}
