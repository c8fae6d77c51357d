//! New connections.

use std::{io, sync::Arc, time::Duration};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mesh_telemetry::{
    proxy::{ProcessEvent, emit},
    task,
};
use tokio::{net::TcpStream, time::timeout};

use super::Pool;
use crate::{body::Body, cluster::Endpoint, error::ProxyError};

/// Where a request goes, seen from one worker.
pub(crate) struct Upstream {
    endpoint: Arc<Endpoint>,
    worker: usize,
    connect_timeout: Duration,
}

impl Upstream {
    pub(crate) fn new(endpoint: Arc<Endpoint>, worker: usize, connect_timeout: Duration) -> Self {
        Self {
            endpoint,
            worker,
            connect_timeout,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.endpoint.pool(self.worker)
    }

    /// Connects; a name is resolved now, each time, so that a moved instance is found.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Body>, ProxyError> {
        let connecting = TcpStream::connect(self.endpoint.address());
        let result = match timeout(self.connect_timeout, connecting).await {
            Ok(Ok(stream)) => self.handshake(stream).await,
            Ok(Err(cause)) => Err(self.refused(cause)),
            Err(_) => Err(ProxyError::ConnectTimeout {
                endpoint: self.endpoint.address_handle(),
                after: self.connect_timeout,
            }),
        };
        emit(&ProcessEvent::UpstreamConnect {
            cluster: self.endpoint.cluster(),
            result: outcome(result.as_ref().err()),
        });
        result
    }

    async fn handshake(&self, stream: TcpStream) -> Result<SendRequest<Body>, ProxyError> {
        // Small requests must not wait for the acknowledgement of the one before.
        stream
            .set_nodelay(true)
            .map_err(|cause| self.refused(cause))?;
        let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|cause| ProxyError::Reset {
            endpoint: self.endpoint.address_handle(),
            cause,
        })?;
        let open = Open::begin(&self.endpoint);
        task::spawn("upstream_connection", async move {
            let _open = open;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    fn refused(&self, cause: io::Error) -> ProxyError {
        ProxyError::Connect {
            endpoint: self.endpoint.address_handle(),
            cause,
        }
    }
}

fn outcome(error: Option<&ProxyError>) -> &'static str {
    match error {
        None => "ok",
        Some(ProxyError::ConnectTimeout { .. }) => "timeout",
        Some(ProxyError::Connect { cause, .. })
            if cause.kind() == io::ErrorKind::ConnectionRefused =>
        {
            "refused"
        }
        Some(_) => "error",
    }
}

/// Counts a connection while it is open. Knows the cluster's name only: an open
/// connection must not keep an endpoint alive that the policy has dropped.
struct Open(String);

impl Open {
    fn begin(endpoint: &Endpoint) -> Self {
        let cluster = endpoint.cluster();
        emit(&ProcessEvent::UpstreamOpened { cluster });
        Self(cluster.to_owned())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        emit(&ProcessEvent::UpstreamClosed { cluster: &self.0 });
    }
}
