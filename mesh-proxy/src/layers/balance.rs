//! An endpoint for each attempt.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Around, Fallible};
use crate::{
    body::Response,
    call::{Placed, Try},
    error::ProxyError,
    shared::Shared,
};

/// The layer.
pub(crate) struct Balance(Arc<Shared>);

impl Balance {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    fn place(&self, one: Try) -> Result<Placed, ProxyError> {
        let no_cluster = || ProxyError::NoRoute {
            authority: String::new(),
        };
        let cluster = one.route.cluster.as_ref().ok_or_else(no_cluster)?;
        let permit = cluster.pick(one.tried.as_ref(), &self.0.random, Instant::now())?;
        if let Some(tried) = &one.tried {
            tried.add(permit.endpoint());
        }
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

    async fn call(&self, one: Try, mut next: Next) -> Result<Response, ProxyError> {
        let placed = self.place(one)?;
        next.call(placed).await
    }
}
