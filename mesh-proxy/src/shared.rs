//! What all stacks of one sidecar share.

use std::sync::Arc;

use mesh_telemetry::proxy::Sink;

use crate::{policy::Store, random::Random, server::Drain, tls::ServerTls};

/// See the module.
pub(crate) struct Shared {
    pub(crate) policy: Store,
    pub(crate) sink: Sink,
    pub(crate) random: Random,
    /// How connections end, those that have become something else than HTTP included.
    pub(crate) drain: Drain,
    /// TLS of the inbound listener.
    pub(crate) listener_tls: Option<Arc<ServerTls>>,
}
