//! Did the change arrive? Waits until every connected sidecar holds it.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    console_client::ConsoleClient,
    failure::Failure,
    out::{BAD, GOOD, Styled},
};

/// Sidecars usually take milliseconds; one that takes longer is worth a word.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// A change on its way.
pub(super) struct Receipt {
    start: Instant,
}

/// What became of it.
#[derive(Serialize)]
pub(super) struct Arrived {
    revision: u64,
    acknowledged: usize,
    sidecars: usize,
    /// From the start of the call to the last acknowledgement.
    elapsed_ms: u64,
}

impl Receipt {
    /// The clock starts before the console is asked.
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) async fn wait(self, client: &ConsoleClient) -> anyhow::Result<Arrived> {
        loop {
            let state = client.chaos().await?;
            let elapsed = self.start.elapsed();
            if state.acknowledged >= state.sidecars || elapsed > PATIENCE {
                return Ok(Arrived {
                    revision: state.revision,
                    acknowledged: state.acknowledged,
                    sidecars: state.sidecars,
                    elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Arrived {
    /// `9/9 sidecars on revision 12, 41 ms`
    pub(super) fn line(&self) -> String {
        let count = format!("{}/{} sidecars", self.acknowledged, self.sidecars);
        let style = if self.is_complete() { GOOD } else { BAD };
        format!(
            "{} on revision {}, {} ms",
            Styled(style, count),
            self.revision,
            self.elapsed_ms
        )
    }

    /// An incomplete receipt is a failure: scripts must not go on as if all was well.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.is_complete() {
            return Ok(());
        }
        Err(Failure::Failed(anyhow!(
            "{} of {} sidecars did not take the change within {PATIENCE:?}; `glassmesh chaos list` and the console show which",
            self.sidecars - self.acknowledged,
            self.sidecars
        )))
    }

    fn is_complete(&self) -> bool {
        self.acknowledged >= self.sidecars
    }
}
