//! What goes through a tunnel that cannot be seen into: its bytes.

use metrics::{Counter, Gauge};

use crate::{
    catalog,
    register::{counter, gauge},
};

/// Counts one tunnel for as long as it is there.
pub struct Tunnel {
    open: Gauge,
    sent: Counter,
    received: Counter,
}

impl Tunnel {
    /// A tunnel to this cluster is open.
    #[must_use]
    pub fn open(cluster: &str) -> Self {
        let open = gauge(&catalog::TUNNELS, &[cluster]);
        open.increment(1.0);
        Self {
            open,
            sent: counter(&catalog::TUNNEL_BYTES, &[cluster, "sent"]),
            received: counter(&catalog::TUNNEL_BYTES, &[cluster, "received"]),
        }
    }

    /// Bytes went to the cluster.
    pub fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }

    /// Bytes came from it.
    pub fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}
