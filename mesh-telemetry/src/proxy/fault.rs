//! Counting faults, and holding requests under them.

use std::{sync::Arc, time::Duration};

use metrics::{Gauge, Histogram};
use tokio::time::Instant;

use super::{Edge, FaultInjected, rule_label, scope::Shared};
use crate::{
    catalog,
    register::{counter, gauge, histogram},
};

/// Counts a fault when it strikes. Faults are rare: the handles are looked up.
pub(super) fn count(edge: &Edge, fault: &FaultInjected) {
    let rule = rule_label::label(&fault.rule);
    let labels = [rule, fault.fault, edge.source(), edge.destination()];
    counter(&catalog::FAULTS, &labels).increment(1);
    if let Some(actual) = fault.actual {
        histogram(&catalog::FAULT_DELAY, &[rule]).record(actual.as_secs_f64());
    }
}

/// A request that a fault holds, or whose body it works on now; dropping it ends the
/// fault, and writes down what it became.
#[must_use = "the fault ends when this is dropped"]
pub struct HeldFault {
    request: Arc<Shared>,
    attempt: Option<usize>,
    note: Option<usize>,
    spent: Spent,
    bytes: Option<u64>,
    active: Gauge,
    delay: Histogram,
}

/// How long a fault held its request.
#[derive(Clone, Copy, Debug)]
enum Spent {
    /// All the time since then.
    Since(Instant),
    /// So long, here and there.
    Here(Option<Duration>),
}

impl std::fmt::Debug for HeldFault {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("HeldFault")
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

/// Where the note of a fault stands: in the record of a request, or of an attempt.
pub(super) struct Noted {
    pub(super) request: Arc<Shared>,
    pub(super) attempt: Option<usize>,
    pub(super) note: Option<usize>,
}

impl HeldFault {
    /// Holds the request from now on.
    pub(super) fn holding(noted: Noted, rule: &str) -> Self {
        Self::new(noted, Spent::Since(Instant::now()), rule)
    }

    /// Works on the body of its answer.
    pub(super) fn working(noted: Noted, rule: &str) -> Self {
        Self::new(noted, Spent::Here(None), rule)
    }

    fn new(noted: Noted, spent: Spent, rule: &str) -> Self {
        let rule = rule_label::label(rule);
        let active = gauge(&catalog::FAULT_ACTIVE, &[rule]);
        active.increment(1.0);
        Self {
            request: noted.request,
            attempt: noted.attempt,
            note: noted.note,
            spent,
            bytes: None,
            active,
            delay: histogram(&catalog::FAULT_DELAY, &[rule]),
        }
    }

    /// The body was kept back for so long; all such times add up.
    pub fn waited(&mut self, time: Duration) {
        if let Spent::Here(sum) = &mut self.spent {
            *sum = Some(sum.unwrap_or_default() + time);
            self.pause(time);
        }
    }

    /// A fault of an attempt is within its time.
    fn pause(&self, time: Duration) {
        if self.attempt.is_none() {
            self.request.with(|record| record.pause(time));
        }
    }

    /// So many bytes more were changed.
    pub fn changed(&mut self, bytes: u64) {
        self.bytes = Some(self.bytes.unwrap_or_default() + bytes);
    }
}

impl Drop for HeldFault {
    fn drop(&mut self) {
        let actual = match self.spent {
            Spent::Since(begin) => {
                let all = begin.elapsed();
                self.pause(all);
                Some(all)
            }
            Spent::Here(sum) => sum,
        };
        self.active.decrement(1.0);
        if let Some(actual) = actual {
            self.delay.record(actual.as_secs_f64());
        }
        if let Some(note) = self.note {
            self.request
                .with(|record| record.end_fault(self.attempt, note, actual, self.bytes));
        }
    }
}
