//! Tasks with a name: a panic is logged under it, not lost.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
};

use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Spawns `future` on the current runtime under `name` (bounded, in snake case).
/// It works on in the trace of whoever spawns it. A panic is logged with the name and
/// then reaches whoever joins the handle.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tasks are spawned"
)]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let future = crate::service::carried(future);
    tokio::spawn(watched(name, future).in_current_span())
}

async fn watched<F: Future>(name: &'static str, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        // After a panic the future is never polled again: nothing sees it half-done.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| {
            tracing::error!(task = name, "task panicked");
            resume_unwind(panic)
        })
    })
    .await
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
