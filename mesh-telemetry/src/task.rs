//! Tasks with a name: a panic is logged under it, not lost.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::service::Incoming;

/// Spawns `future` on the current runtime under `name` (bounded, in snake case).
/// It works on in the trace of whoever spawns it. A panic is logged with the name and
/// then reaches whoever joins the handle.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Incoming::current() {
        // Boxed: only services have this, and it must not make every task larger.
        Some(incoming) => spawn_watched(name, Box::pin(incoming.scope(future))),
        None => spawn_watched(name, future),
    }
}

/// Combinators all through: an async block would hold the future twice, once as it came
/// and once as it is waited for, and a sidecar has a task for each connection.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tasks are spawned"
)]
fn spawn_watched<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // After a panic the future is never polled again: nothing sees it half-done.
    let watched = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
        ended.unwrap_or_else(|panic| {
            tracing::error!(task = name, "task panicked");
            resume_unwind(panic)
        })
    });
    tokio::spawn(watched.in_current_span())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_panic_reaches_whoever_joins() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let ended = super::spawn("doomed", async { panic!("on purpose") }).await;
        std::panic::set_hook(quiet);
        assert!(ended.is_err_and(|error: tokio::task::JoinError| error.is_panic()));
    }

    #[tokio::test]
    async fn the_output_comes_back() {
        assert_eq!(super::spawn("fine", async { 7 }).await.unwrap(), 7);
    }
}
