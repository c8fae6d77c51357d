//! Idle connections of one worker to one endpoint, newest first.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use crate::body::Body;

/// Idle connections that are kept; more were a burst.
const MOST_IDLE: usize = 128;

/// How long a connection is kept idle: less than the 5 s after which Node.js and
/// uvicorn close theirs, so that the race for a dying connection is rare.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// A stack of idle connections.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

impl Pool {
    /// The connection used last that is ready for a request.
    pub(crate) fn take(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|idle| idle.sender.is_ready())?;
        if idle[at].since.elapsed() >= IDLE_TIME {
            idle.drain(..=at); // those below are older still
            return None;
        }
        Some(idle.remove(at).sender)
    }

    /// Gives a connection back whose answer has been read.
    pub(crate) fn put(&self, sender: SendRequest<Body>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle();
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_TIME);
        if idle.len() < MOST_IDLE {
            let since = Instant::now();
            idle.push(Idle { sender, since });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
