//! The one endpoint of the inbound side: never balanced, never ejected.

use std::sync::Arc;

use super::{Around, Fallible};
use crate::{
    body::Response,
    call::{Placed, Routed},
    error::ProxyError,
    shared::Shared,
};

/// The layer.
pub(crate) struct Application(Arc<Shared>);

impl Application {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl<Next: Fallible<Placed>> Around<Routed, Next> for Application {
    type Error = ProxyError;

    async fn call(&self, routed: Routed, mut next: Next) -> Result<Response, ProxyError> {
        let Some(application) = self.0.policy.owner().application.clone() else {
            return Err(ProxyError::NoRoute {
                authority: String::new(),
            });
        };
        next.call(routed.into_placed(application)).await
    }
}
