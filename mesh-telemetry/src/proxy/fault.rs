//! Counting faults, and holding requests under them.

use std::sync::Arc;

use metrics::{Gauge, Histogram};
use tokio::time::Instant;

use super::{Edge, FaultInjected, scope::Shared};
use crate::{
    catalog,
    register::{counter, gauge, histogram},
};

/// Counts a fault when it strikes. Faults are rare: the handles are looked up.
pub(super) fn count(edge: &Edge, fault: &FaultInjected) {
    let labels = [&*fault.rule, fault.fault, edge.source(), edge.destination()];
    counter(&catalog::FAULTS, &labels).increment(1);
    if let Some(actual) = fault.actual {
        histogram(&catalog::FAULT_DELAY, &[&fault.rule]).record(actual.as_secs_f64());
    }
}

/// A request that a fault holds now; dropping it ends the delay.
#[must_use = "the fault ends when this is dropped"]
pub struct HeldFault {
    request: Arc<Shared>,
    attempt: Option<usize>,
    note: Option<usize>,
    since: Instant,
    active: Gauge,
    delay: Histogram,
}

impl std::fmt::Debug for HeldFault {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("HeldFault")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl HeldFault {
    pub(super) fn new(
        request: Arc<Shared>,
        attempt: Option<usize>,
        note: Option<usize>,
        rule: &str,
    ) -> Self {
        let active = gauge(&catalog::FAULT_ACTIVE, &[rule]);
        active.increment(1.0);
        let delay = histogram(&catalog::FAULT_DELAY, &[rule]);
        Self {
            request,
            attempt,
            note,
            since: Instant::now(),
            active,
            delay,
        }
    }
}

impl Drop for HeldFault {
    fn drop(&mut self) {
        let actual = self.since.elapsed();
        self.active.decrement(1.0);
        self.delay.record(actual.as_secs_f64());
        if let Some(note) = self.note {
            self.request
                .with(|record| record.end_fault(self.attempt, note, actual));
        }
    }
}
