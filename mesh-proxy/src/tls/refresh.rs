//! What was read from files, and is read again when they change.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use mesh_telemetry::proxy::{Direction, ProcessEvent, emit};
use tokio::time::sleep;

use super::files::{Stamp, Unusable};
use crate::shared::Shared;

/// How often files are looked at. A certificate is replaced long before it ends, so
/// that this need not be short.
const PAUSE: Duration = Duration::from_secs(5);

/// Something made of files: what serves now, and what the files looked like then.
#[derive(Debug)]
pub(super) struct Fresh<T> {
    files: Vec<PathBuf>,
    /// None: the files could not be used when there was nothing before them.
    current: ArcSwapOption<T>,
    seen: Mutex<Stamp>,
}

impl<T> Fresh<T> {
    /// Reads for the first time.
    pub(super) fn read(
        files: Vec<PathBuf>,
        read: impl FnOnce() -> Result<T, Unusable>,
    ) -> (Self, Result<(), Unusable>) {
        let seen = Mutex::new(Stamp::of(&files)); // before the reading: what changes meanwhile is read again
        let (current, result) = match read() {
            Ok(made) => (Some(Arc::new(made)), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let fresh = Self {
            files,
            current: ArcSwapOption::new(current),
            seen,
        };
        (fresh, result)
    }

    /// What serves now.
    pub(super) fn load(&self) -> Option<Arc<T>> {
        self.current.load_full()
    }

    /// Reads again if the files have changed; what cannot be used changes nothing.
    pub(super) fn refresh(&self, read: impl FnOnce() -> Result<T, Unusable>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.files);
        if *seen == stamp {
            return;
        }
        *seen = stamp;
        match read() {
            Ok(made) => {
                self.current.store(Some(Arc::new(made)));
                tracing::info!(files = ?self.files, "certificates read again");
            }
            Err(error) => {
                tracing::warn!(%error, "changed certificates cannot be used, the old ones stay");
            }
        }
    }
}

/// Reads changed files again, for as long as it is polled.
pub(crate) async fn keep_fresh(shared: Arc<Shared>) {
    let mut told = [None, None];
    loop {
        while !in_use(&shared) && told == [None, None] {
            sleep(PAUSE).await;
        }
        let shared = Arc::clone(&shared);
        // Files may lie on a disk that is slow, and requests do not wait for it.
        let read = tokio::task::spawn_blocking(move || refresh(&shared)).await;
        let ends = read.unwrap_or(told);
        for (index, direction) in [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .enumerate()
        {
            if ends[index] != told[index] {
                let ends = ends[index];
                emit(&ProcessEvent::CertificateExpiry { direction, ends });
            }
        }
        told = ends;
        sleep(PAUSE).await;
    }
}

fn in_use(shared: &Shared) -> bool {
    let clusters = &shared.policy.load().clusters;
    shared.listener_tls.is_some() || clusters.values().any(|cluster| cluster.tls().is_some())
}

/// Reads changed files again. Returns when the certificates that are shown end:
/// inbound's, and the first of outbound's.
pub(crate) fn refresh(shared: &Shared) -> [Option<SystemTime>; 2] {
    let inbound = shared.listener_tls.as_ref().and_then(|tls| {
        tls.refresh();
        tls.ends()
    });
    let policy = shared.policy.load();
    let clients = policy.clusters.values().filter_map(|cluster| cluster.tls());
    let outbound = clients.filter_map(|tls| {
        tls.refresh();
        tls.ends()
    });
    [inbound, outbound.min()]
}
