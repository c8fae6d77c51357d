//! `CONNECT`: a tunnel to a cluster, where the listener allows it. Nothing is seen of
//! what goes through, so there are no routes, retries or faults inside it; its
//! endpoint comes from the balancer, and its bytes are counted.

use std::{sync::Arc, time::Duration};

use http::Method;
use mesh_telemetry::proxy::{self, Direction};
use tokio::time::{Instant, timeout};

use super::{Around, Fallible, passing::Detour};
use crate::{
    body::{Request, Response},
    call::Call,
    client::Upstream,
    cluster::{Cluster, Endpoint},
    error::ProxyError,
    policy::authority,
    shared::Shared,
    tls::{Alpn, Stream},
    tunnel::{self, Duplex, Terms},
};

/// Silence after which a tunnel is closed: whoever keeps a connection in reserve does
/// so for minutes; Envoy's figure for TCP.
const LONGEST_SILENCE: Duration = Duration::from_hours(1);

/// The layer.
pub(crate) struct Tunnel {
    shared: Arc<Shared>,
    is_allowed: bool,
}

impl Tunnel {
    pub(crate) fn new(shared: &Arc<Shared>, side: Direction) -> Self {
        Self {
            shared: Arc::clone(shared),
            is_allowed: shared.policy.owner().limits(side).allow_connect,
        }
    }

    async fn open(&self, cluster: &Arc<Cluster>) -> Result<Response, ProxyError> {
        let permit = cluster.pick(None, None, &self.shared.random, Instant::now())?;
        let within = cluster.settings().connect_timeout;
        let far = connect(permit.endpoint(), within).await?;
        let opening = async { Ok(Box::new(far) as Box<dyn Duplex>) };
        let (head, ()) = http::Response::new(()).into_parts();
        let terms = Terms {
            idle: Some(LONGEST_SILENCE),
            meter: proxy::Tunnel::open(cluster.name()),
            kept: permit, // the tunnel is load of its endpoint
        };
        Ok(tunnel::begin(head, opening, terms))
    }

    fn cluster(&self, request: &Request) -> Result<Arc<Cluster>, ProxyError> {
        let host = authority(request.uri(), request.headers()).unwrap_or_default();
        let policy = self.shared.policy.load();
        let cluster = policy.clusters.get(host).cloned();
        cluster.ok_or_else(|| ProxyError::NoRoute {
            authority: host.chars().take(100).collect(),
        })
    }
}

impl Detour<Call> for Tunnel {
    fn is_needed(&self, call: &Call) -> bool {
        call.request.method() == Method::CONNECT
    }
}

impl<Next: Fallible<Call>> Around<Call, Next> for Tunnel {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, call: Call, _: Next) -> Result<Response, ProxyError> {
        if !self.is_allowed {
            return Err(ProxyError::ConnectMethod);
        }
        let cluster = self.cluster(&call.request)?;
        self.open(&cluster).await
    }
}

/// With TLS where the cluster has it: who is at the other end is verified here, too.
async fn connect(endpoint: &Arc<Endpoint>, within: Duration) -> Result<Stream, ProxyError> {
    let upstream = Upstream::new(Arc::clone(endpoint), 0); // any worker's settings: all are the same
    timeout(within, upstream.carrier(Alpn::Http1))
        .await
        .unwrap_or_else(|_| {
            Err(ProxyError::ConnectTimeout {
                endpoint: endpoint.address_handle(),
                after: within,
            })
        })
}
