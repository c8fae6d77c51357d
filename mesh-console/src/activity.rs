//! What happened lately, in sentences: chaos changes, sidecars that come and
//! go, processes that were restarted.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use crate::{api::Activity, clock::Clock};

/// Entries that are kept.
const KEPT: usize = 200;

/// Longest text of an entry that comes from outside, bytes.
const LONGEST_TEXT: usize = 500;

/// Kinds of entries.
const KINDS: [&str; 4] = ["chaos", "process", "sidecar", "policy"];

/// The list, newest last, and a feed of what is added.
pub(crate) struct ActivityLog {
    clock: Clock,
    entries: Mutex<VecDeque<Activity>>,
    feed: broadcast::Sender<Activity>,
}

impl ActivityLog {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Mutex::default(),
            feed: broadcast::channel(KEPT).0,
        }
    }

    pub(crate) fn add(&self, kind: &str, text: String) -> Activity {
        tracing::info!(kind, "{text}");
        let entry = Activity {
            at_ms: self.clock.now_ms(),
            kind: kind.to_owned(),
            text,
        };
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry.clone());
        drop(entries);
        // Nobody listening is the usual case.
        let _ = self.feed.send(entry.clone());
        entry
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<Activity> {
        self.entries().iter().rev().cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Activity> {
        self.feed.subscribe()
    }

    /// What is wrong with an entry that somebody posts.
    pub(crate) fn refuse(entry: &Activity) -> Option<String> {
        if !KINDS.contains(&entry.kind.as_str()) {
            return Some(format!(
                "`{}` is no kind of activity; use one of: {}",
                entry.kind,
                KINDS.join(", ")
            ));
        }
        let length = entry.text.len();
        (entry.text.trim().is_empty() || length > LONGEST_TEXT)
            .then(|| format!("the text has {length} bytes; write 1 to {LONGEST_TEXT}"))
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Activity>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
