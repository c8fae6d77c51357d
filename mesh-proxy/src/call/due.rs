//! Until when there must be an answer, and who sees to it.
//!
//! To arm and disarm a timer costs more than most layers do. An attempt has one of its
//! own, which ends before the deadline; while an attempt runs, the request needs none.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline; clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    instant: Instant,
    /// How many attempts keep time.
    keepers: Arc<AtomicU32>,
}

/// Whoever has this has armed a timer that ends before the deadline.
pub(crate) struct Keeper<'a>(&'a AtomicU32);

impl Due {
    /// At this instant.
    pub(crate) fn at(instant: Instant) -> Self {
        Self {
            instant,
            keepers: Arc::default(),
        }
    }

    /// The instant.
    pub(crate) fn instant(&self) -> Instant {
        self.instant
    }

    /// Time until then.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.instant.saturating_duration_since(now)
    }

    /// Takes the watch over: the future that does this, on the task of [`Self::hold`],
    /// wakes it before the deadline.
    pub(crate) fn keep(&self) -> Keeper<'_> {
        self.keepers.fetch_add(1, Relaxed);
        Keeper(&self.keepers)
    }

    /// Waits for a future; none: it was not ready by then.
    pub(crate) async fn hold<F: Future + Unpin>(&self, mut future: F) -> Option<F::Output> {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(cx) {
                return Poll::Ready(Some(output));
            }
            if timer.is_none() && self.keepers.load(Relaxed) > 0 {
                return Poll::Pending;
            }
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(self.instant)));
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{Instant, sleep, timeout};

    use super::Due;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_longer_than_until_the_deadline() {
        let due = Due::at(Instant::now() + SECOND);
        let ended = timeout(SECOND * 2, due.hold(Box::pin(pending::<()>()))).await;
        assert_eq!(ended, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watch_comes_back_when_a_keeper_has_gone() {
        let due = Due::at(Instant::now() + SECOND);
        let began = Instant::now();
        let attempt = Box::pin(async {
            let kept = due.keep();
            sleep(SECOND / 2).await;
            drop(kept);
            pending::<()>().await;
        });
        assert_eq!(timeout(SECOND * 2, due.hold(attempt)).await, Ok(None));
        assert!(began.elapsed() < SECOND + SECOND / 10);
    }
}
