//! Samples of an edge for charts.

use std::collections::VecDeque;

use crate::api::EdgeSample;

/// Samples that are kept: fifteen minutes of one each five seconds.
const KEPT: usize = 180;

/// Samples, oldest first.
#[derive(Default)]
pub(super) struct History(VecDeque<EdgeSample>);

impl History {
    pub(super) fn push(&mut self, sample: EdgeSample) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    pub(super) fn samples(&self) -> Vec<EdgeSample> {
        self.0.iter().cloned().collect()
    }
}
