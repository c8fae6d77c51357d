//! The one endpoint of the inbound side: never balanced, never ejected.

use std::sync::Arc;

use super::passing::Gate;
use crate::{
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

impl Gate<Routed> for Application {
    type Passed = Placed;
    type Error = ProxyError;

    fn pass(&self, routed: Routed) -> Result<Placed, ProxyError> {
        let Some(application) = self.0.policy.owner().application.clone() else {
            return Err(ProxyError::NoRoute {
                authority: String::new(),
            });
        };
        Ok(routed.into_placed(application))
    }
}
