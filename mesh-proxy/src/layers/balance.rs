//! An endpoint for each attempt.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Around, Fallible};
use crate::{
    body::Response,
    call::{Placed, Try},
    cluster::{Cluster, Permit},
    error::ProxyError,
    shared::Shared,
};

/// The layer.
pub(crate) struct Balance(Arc<Shared>);

impl Balance {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    fn pick(&self, cluster: &Arc<Cluster>, one: &Try) -> Result<Permit, ProxyError> {
        let key = cluster.key(one.request.headers());
        cluster.pick(one.tried.as_ref(), key, &self.0.random, Instant::now())
    }

    async fn place(&self, one: Try) -> Result<Placed, ProxyError> {
        let no_cluster = || ProxyError::NoRoute {
            authority: String::new(),
        };
        let cluster = one.route.cluster.as_ref().ok_or_else(no_cluster)?;
        let permit = match self.pick(cluster, &one) {
            Err(_) if cluster.is_undiscovered() => {
                cluster.discovered().await;
                self.pick(cluster, &one)?
            }
            picked => picked?,
        };
        let permit = match &one.tried {
            Some(tried) => permit.among(tried),
            None => permit,
        };
        Ok(Placed {
            endpoint: Arc::clone(permit.endpoint()),
            permit: Some(permit),
            request: one.request,
            scope: one.scope,
            route: one.route,
            deadline: one.deadline,
            number: one.number,
        })
    }
}

impl<Next: Fallible<Placed>> Around<Try, Next> for Balance {
    type Error = ProxyError;

    async fn call(self: Arc<Self>, one: Try, mut next: Next) -> Result<Response, ProxyError> {
        let placed = self.place(one).await?;
        next.call(placed).await
    }
}
