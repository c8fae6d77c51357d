//! How endpoints are spoken to: what connections are made of, and how long they live.

use std::{sync::Arc, time::Duration};

use http::Version;

use crate::{
    config::{self, Protocol},
    tls::{Alpn, ClientTls, Offer},
};

/// See the module. Connections that were made under other settings are not used again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) protocol: Protocol,
    /// None: plain text.
    pub(crate) tls: Option<Arc<ClientTls>>,
    /// For a new connection, everything included that comes before its first request.
    pub(crate) connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub(crate) idle_timeout: Duration,
    /// Age after which a connection takes no new requests.
    pub(crate) max_age: Option<Duration>,
    /// Silence after which the peer of a shared connection is asked for a sign of life.
    pub(crate) keep_alive: Option<Duration>,
    /// Most connections of one worker.
    pub(crate) max_connections: Option<usize>,
}

impl Settings {
    /// Of a cluster's endpoints.
    pub(crate) fn of(cluster: &config::Cluster, tls: Option<Arc<ClientTls>>) -> Self {
        Self {
            protocol: cluster.protocol,
            tls,
            connect_timeout: cluster.connect_timeout,
            idle_timeout: cluster.idle_timeout,
            max_age: cluster.max_connection_age,
            keep_alive: cluster.keep_alive,
            max_connections: cluster.max_connections,
        }
    }

    /// Of the application beside the sidecar: the defaults of a cluster.
    pub(crate) fn of_application(protocol: Protocol) -> Self {
        Self {
            protocol,
            ..Self::of(&config::Cluster::new(Vec::new()), None)
        }
    }

    /// What a request goes out as. An upgrade is a matter of HTTP/1.1; gRPC is one of
    /// HTTP/2, and no upstream that lacks it could answer.
    pub(super) fn wanted(&self, spoken: Version, upgrade: bool, grpc: bool) -> Wanted {
        if upgrade {
            return Wanted::Http1;
        }
        let (secured, http2) = (self.tls.is_some(), spoken == Version::HTTP_2);
        match self.protocol {
            Protocol::Http2 => Wanted::Http2,
            Protocol::Auto if http2 && grpc => Wanted::Http2,
            Protocol::Auto if http2 || secured => Wanted::Either,
            Protocol::Http1 | Protocol::Auto => Wanted::Http1,
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
    /// Whichever the upstream chooses (ALPN); without TLS, HTTP/2 if it speaks that.
    Either,
}

impl Wanted {
    /// What a TLS handshake puts on offer.
    pub(super) fn offer(self) -> Offer {
        match self {
            Self::Http1 => Offer::Only(Alpn::Http1),
            Self::Http2 => Offer::Only(Alpn::H2),
            Self::Either => Offer::Both,
        }
    }

    /// What is spoken when the upstream has agreed to this.
    pub(super) fn settle(self, agreed: Option<Alpn>) -> Self {
        match (self, agreed) {
            (Self::Either, Some(Alpn::H2)) => Self::Http2,
            (Self::Either, _) => Self::Http1,
            (settled, _) => settled,
        }
    }
}
