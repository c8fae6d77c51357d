//! Says when a file may have changed.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    time::{Instant, interval, sleep_until},
};

use super::links::Places;

/// Quiet after the last event before the file is read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// Longest wait for that quiet: a file that is written without a pause is read all the same.
const LONGEST: Duration = Duration::from_secs(1);

/// How often the file is looked at without any event: some file systems (NFS, mounts
/// from a virtual machine's host) tell of none.
const LOOK: Duration = Duration::from_secs(5);

/// A file that is watched.
pub(super) struct Watch {
    path: PathBuf,
    touched: Arc<Notify>,
    /// Names whose events are of interest: shared with the watcher's thread.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    stamp: Stamp,
}

/// What changes when a file does; none: it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Watch {
    pub(super) fn of(path: PathBuf) -> Self {
        let touched = Arc::new(Notify::new());
        let names = Arc::default();
        let watcher = watcher(Arc::clone(&touched), Arc::clone(&names))
            .inspect_err(|error| {
                tracing::warn!(%error, "the configuration file is looked at every {LOOK:?}, because it cannot be watched");
            })
            .ok();
        let mut watch = Self {
            stamp: stamp(&path),
            path,
            touched,
            names,
            watcher,
            folders: BTreeSet::new(),
        };
        watch.follow_links();
        watch
    }

    /// Resolves when the file may have changed and has been left alone for a moment.
    pub(super) async fn changed(&mut self) {
        self.follow_links();
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                () = self.touched.notified() => {
                    self.settle().await;
                    break;
                }
                _ = looks.tick() => if stamp(&self.path) != self.stamp { break },
            }
        }
        self.stamp = stamp(&self.path);
    }

    async fn settle(&self) {
        let last = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(last);
            tokio::select! {
                biased;
                () = sleep_until(quiet) => return,
                () = self.touched.notified() => {}
            }
        }
    }

    /// Watches where the links lead now.
    fn follow_links(&mut self) {
        let places = Places::of(&self.path);
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = places.names;
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for gone in self.folders.difference(&places.folders) {
            let _ = watcher.unwatch(gone); // most often deleted, and the watch with it
        }
        for folder in places.folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %folder.display(), "the configuration file is looked at every {LOOK:?}, because its folder cannot be watched");
            }
        }
        self.folders = places.folders;
    }
}

fn watcher(
    touched: Arc<Notify>,
    names: Arc<Mutex<BTreeSet<OsString>>>,
) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        // After an error, or events that were lost, anything may have happened.
        if event.map_or(true, |event| concerns(&event, &names)) {
            touched.notify_one();
        }
    })
}

fn concerns(event: &Event, names: &BTreeSet<OsString>) -> bool {
    let only_read = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let concerned = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
    event.need_rescan() || (!only_read && event.paths.iter().any(concerned))
}

fn stamp(path: &Path) -> Stamp {
    let it = path.metadata().ok()?;
    Some((it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
}
