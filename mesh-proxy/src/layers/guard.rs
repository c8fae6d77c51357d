//! Refuses what can be understood in two ways, before anything is decided by it.
//!
//! hyper does most of this: it refuses a malformed or repeated length, and of a
//! length beside a transfer coding it believes the coding alone, forwards neither
//! and closes the connection afterwards.

use http::{Method, header::HOST};

use super::{Around, Fallible};
use crate::{body::Response, call::Call, error::ProxyError};

/// The layer.
pub(crate) struct Guard;

impl<Next: Fallible<Call>> Around<Call, Next> for Guard {
    type Error = ProxyError;

    async fn call(&self, call: Call, mut next: Next) -> Result<Response, ProxyError> {
        if call.request.method() == Method::CONNECT {
            return Err(ProxyError::ConnectMethod);
        }
        if call.request.headers().get_all(HOST).iter().nth(1).is_some() {
            return Err(ProxyError::Ambiguous("it has more than one Host header"));
        }
        next.call(call).await
    }
}
