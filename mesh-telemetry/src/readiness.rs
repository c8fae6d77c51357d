//! Whether a process can serve: shared between its start-up code and `/health/ready`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A switch, off at first, that `/health/ready` reports; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on `/health/ready` answers 200.
    pub fn set_ready(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// From now on `/health/ready` answers 503.
    pub fn set_not_ready(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// What `/health/ready` answers now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
