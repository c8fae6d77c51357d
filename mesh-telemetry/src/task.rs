//! Tasks with a name: a panic is logged under it, not lost.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Spawns `future` on the current runtime under `name` (bounded, in snake case).
/// A panic is logged with the name and then reaches whoever joins the handle.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tasks are spawned"
)]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let alarm = Alarm { name };
    tokio::spawn(async move {
        let output = future.in_current_span().await;
        drop(alarm);
        output
    })
}

/// Logs when it is dropped by an unwinding task.
struct Alarm {
    name: &'static str,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.name, "task panicked");
        }
    }
}
