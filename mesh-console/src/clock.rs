//! Wall-clock milliseconds, as chaos rules and answers carry them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the time of day comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Starts at a time of day and goes on as tokio's clock does, so that a test
    /// can pause it.
    Tokio {
        /// Milliseconds since the Unix epoch at `start`.
        epoch_ms: u64,
        /// When that was.
        start: Instant,
    },
}

impl Clock {
    /// A clock that goes on as tokio's does, from the machine's time of day on.
    #[must_use]
    pub fn tokio() -> Self {
        Self::Tokio {
            epoch_ms: Self::System.now_ms(),
            start: Instant::now(),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System => millis(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            Self::Tokio { epoch_ms, start } => epoch_ms.saturating_add(millis(start.elapsed())),
        }
    }
}

/// Whole milliseconds of a duration, the largest there are for more.
#[must_use]
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
