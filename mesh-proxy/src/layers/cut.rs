//! A request's body that this sidecar breaks off. The attempt that was sending it fails
//! in the words of the connection; the layer that cut it knows better.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    body::{BodyError, Response},
    error::ProxyError,
};

/// Why a body was cut, if it was; shared by the body and its layer.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<Mutex<Option<ProxyError>>>);

impl Cut {
    /// Writes down why, and makes the error that ends the body.
    pub(crate) fn because(&self, why: impl Fn() -> ProxyError) -> BodyError {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *reason = Some(why());
        BodyError::new(why())
    }

    /// Puts the reason in place of the failure that it led to.
    pub(crate) fn explain(
        &self,
        result: Result<Response, ProxyError>,
    ) -> Result<Response, ProxyError> {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        result.map_err(|error| reason.take().unwrap_or(error))
    }
}
