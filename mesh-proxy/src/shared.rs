//! What all stacks of one sidecar share.

use mesh_telemetry::proxy::Sink;

use crate::{policy::Store, random::Random};

/// See the module.
pub(crate) struct Shared {
    pub(crate) policy: Store,
    pub(crate) sink: Sink,
    pub(crate) random: Random,
}
