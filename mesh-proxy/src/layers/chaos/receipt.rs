//! What a rule met at this sidecar since it was put in force: counted on the request
//! path, told to the console and to whoever asks the admin API.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::matching::{Miss, Subject};
use crate::config::{NearMiss, Rule, RuleReport};

/// Longest method and path of a near miss, bytes.
const LONGEST: usize = 200;

/// Counts of one rule. Each number is right by itself; together they are as near to one
/// another as requests that are on their way allow.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// Wall clock, milliseconds: tells this count from one that began anew.
    since_ms: u64,
    seen: AtomicU64,
    matched: AtomicU64,
    struck: AtomicU64,
    spared: AtomicU64,
    held: AtomicU64,
    /// 0: never.
    last_ms: AtomicU64,
    /// Conditions that the nearest miss met, and one; 0: nothing was missed yet.
    nearness: AtomicUsize,
    nearest: Mutex<Option<NearMiss>>,
}

impl Default for Receipt {
    fn default() -> Self {
        Self {
            since_ms: now_ms(),
            seen: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            held: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            nearness: AtomicUsize::new(0),
            nearest: Mutex::new(None),
        }
    }
}

impl Receipt {
    /// A request came by the rule's place.
    pub(crate) fn see(&self) {
        self.seen.fetch_add(1, Relaxed);
    }

    /// It did not meet all conditions. Kept when it met more of them than any before.
    pub(crate) fn miss(&self, miss: &Miss, subject: &Subject<'_>) {
        let nearness = miss.met.saturating_add(1);
        if nearness <= self.nearness.load(Relaxed) {
            return;
        }
        let mut nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at again: meanwhile somebody else may have come nearer.
        if nearness > self.nearness.load(Relaxed) {
            self.nearness.store(nearness, Relaxed);
            *nearest = Some(near(miss, subject));
        }
    }

    /// It met all conditions.
    pub(crate) fn matched(&self) {
        self.matched.fetch_add(1, Relaxed);
    }

    /// It would have been struck, but the rule has struck enough, or holds enough.
    pub(crate) fn spare(&self) {
        self.spared.fetch_add(1, Relaxed);
    }

    /// It is struck, however many were.
    #[cfg(test)]
    pub(crate) fn strike(self: &Arc<Self>) -> Affected {
        self.struck.fetch_add(1, Relaxed);
        self.held.fetch_add(1, Relaxed);
        self.now_struck()
    }

    /// It is struck, unless `most_in_all` were or `most_at_once` are affected now: then it
    /// is spared. Exact, however many workers ask. What is given back is kept until the
    /// rule has nothing to do with the request and its answer any more.
    pub(crate) fn strike_within(
        self: &Arc<Self>,
        most_at_once: Option<usize>,
        most_in_all: Option<u64>,
    ) -> Option<Affected> {
        let most_at_once = most_at_once.map_or(u64::MAX, |most| most as u64);
        if !add_below(&self.held, most_at_once) {
            self.spare();
            return None;
        }
        if !add_below(&self.struck, most_in_all.unwrap_or(u64::MAX)) {
            self.held.fetch_sub(1, Relaxed);
            self.spare();
            return None;
        }
        Some(self.now_struck())
    }

    fn now_struck(self: &Arc<Self>) -> Affected {
        self.last_ms.store(now_ms(), Relaxed);
        Affected(Arc::clone(self))
    }

    /// Requests that the rule holds, or whose answers it works on, now.
    pub(crate) fn affected(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// All of it, for this rule.
    pub(crate) fn report(&self, rule: &Rule) -> RuleReport {
        let nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
        RuleReport {
            id: rule.id.clone(),
            expires_at_ms: rule.expires_at_ms,
            since_ms: self.since_ms,
            seen: self.seen.load(Relaxed),
            matched: self.matched.load(Relaxed),
            struck: self.struck.load(Relaxed),
            spared: self.spared.load(Relaxed),
            held: self.affected(),
            last_ms: Some(self.last_ms.load(Relaxed)).filter(|last| *last > 0),
            nearest: nearest.clone(),
        }
    }
}

/// A request that a rule has to do with; dropped, it has not any more.
#[derive(Debug)]
pub(crate) struct Affected(Arc<Receipt>);

impl Drop for Affected {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
}

/// Adds one, unless there are so many.
fn add_below(count: &AtomicU64, most: u64) -> bool {
    let added = count.fetch_update(Relaxed, Relaxed, |count| (count < most).then(|| count + 1));
    added.is_ok()
}

fn near(miss: &Miss, subject: &Subject<'_>) -> NearMiss {
    let mut request = format!("{} {}", subject.method, subject.path);
    request.truncate(request.floor_char_boundary(LONGEST));
    NearMiss {
        request,
        key: miss.key.to_owned(),
        met: miss.met,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, Method};

    use super::Receipt;
    use crate::{
        config::{Rule, RuleReport},
        layers::chaos::matching::{Miss, Subject},
    };

    fn rule() -> Rule {
        let mut rule = Rule::new("slow", "payments".parse().unwrap());
        rule.expires_at_ms = Some(7);
        rule
    }

    fn report(receipt: &Receipt) -> RuleReport {
        receipt.report(&rule())
    }

    fn miss(receipt: &Receipt, path: &str, key: &'static str, met: usize) {
        let headers = HeaderMap::new();
        let subject = Subject {
            method: &Method::GET,
            path,
            headers: &headers,
            route: "payments",
            caller: "orders",
            peer: None,
        };
        receipt.miss(&Miss { key, met }, &subject);
    }

    #[test]
    fn what_a_rule_met_is_counted() {
        let receipt = Arc::new(Receipt::default());
        assert_eq!(report(&receipt).last_ms, None);
        for _ in 0..3 {
            receipt.see();
        }
        receipt.matched();
        receipt.spare();
        let affected = receipt.strike();
        let now = report(&receipt);
        assert_eq!((now.id.as_str(), now.expires_at_ms), ("slow", Some(7)));
        assert_eq!((now.seen, now.matched, now.struck), (3, 1, 1));
        assert_eq!((now.spared, now.held), (1, 1));
        assert!(now.last_ms >= Some(now.since_ms));
        drop(affected);
        let then = report(&receipt);
        assert_eq!((then.struck, then.held), (1, 0), "it struck all the same");
    }

    #[test]
    fn the_nearest_miss_is_the_first_that_met_most() {
        let receipt = Receipt::default();
        assert_eq!(report(&receipt).nearest, None);
        for (path, key, met) in [
            ("/a", "match.methods", 0),
            ("/b", "match.headers", 2),
            ("/c", "match.path", 1),
            ("/d", "match.callers", 2),
        ] {
            miss(&receipt, path, key, met);
        }
        let nearest = report(&receipt).nearest.unwrap();
        assert_eq!(nearest.request, "GET /b");
        assert_eq!((nearest.key.as_str(), nearest.met), ("match.headers", 2));
    }

    #[test]
    fn a_long_path_is_cut_between_two_characters() {
        let receipt = Receipt::default();
        miss(&receipt, &format!("/{}", "ü".repeat(400)), "arm", 0);
        let nearest = report(&receipt).nearest.unwrap();
        assert_eq!(nearest.request.len(), 199, "an ü has two bytes");
        assert!(nearest.request.ends_with('ü'));
    }

    #[test]
    fn what_exceeds_a_cap_is_spared() {
        let receipt = Arc::new(Receipt::default());
        let strike = || receipt.strike_within(Some(2), Some(3));
        let (first, second) = (strike(), strike());
        assert!(first.is_some() && second.is_some());
        assert!(strike().is_none(), "two at once are the most");
        drop(first);
        let third = strike();
        assert!(third.is_some());
        drop((second, third));
        assert!(strike().is_none(), "three in all are the most");
        let now = report(&receipt);
        assert_eq!((now.struck, now.spared, now.held), (3, 2, 0));
    }

    #[test]
    fn caps_hold_for_all_workers_together() {
        let receipt = Arc::new(Receipt::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        drop(receipt.strike_within(Some(1), Some(1_000)));
                        assert!(receipt.affected() <= 1);
                    }
                });
            }
        });
        let now = report(&receipt);
        assert_eq!((now.struck, now.spared, now.held), (1_000, 19_000, 0));
    }
}
