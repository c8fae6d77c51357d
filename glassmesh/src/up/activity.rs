//! Tells the console what happens to processes, for its list of events.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::console_client::ConsoleClient;

/// Entries that wait for a console that is down; more are dropped.
const WAITING: usize = 64;
/// Tries for one entry: a console that was killed is back after one or two.
const TRIES: u32 = 5;
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the console.
#[derive(Clone)]
pub(super) struct Activity {
    entries: Sender<String>,
}

impl Activity {
    pub(super) fn start(console: ConsoleClient) -> Self {
        let (entries, waiting) = channel(WAITING);
        mesh_telemetry::task::spawn("activity", post_all(console, waiting));
        Self { entries }
    }

    /// Hands an entry over; never waits.
    pub(super) fn post(&self, text: String) {
        let _ = self.entries.try_send(text);
    }
}

async fn post_all(console: ConsoleClient, mut waiting: Receiver<String>) {
    while let Some(text) = waiting.recv().await {
        for _ in 0..TRIES {
            if console.post_activity("process", &text).await.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
