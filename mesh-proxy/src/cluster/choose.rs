//! Which of the endpoints that take requests gets the next one.
//!
//! No choice looks at more than a few endpoints, however many there are; only when
//! those few were all tried before are the others looked through.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::Instant;

use super::{
    Endpoint,
    set::{Member, Set},
};
use crate::{config::Balance, random::Random};

/// Draws before the rest is looked through.
const DRAWS: usize = 8;

/// Slots of the hash table that are tried before a key takes any endpoint: with half
/// of the endpoints out, one in 2^64 keys gets that far.
const SLOTS: usize = 64;

/// One choice.
pub(super) struct Choice<'a> {
    pub(super) set: &'a Set,
    /// Whether an endpoint is wanted: not tried before.
    pub(super) wanted: &'a dyn Fn(&Arc<Endpoint>) -> bool,
    pub(super) random: &'a Random,
    pub(super) now: Instant,
    /// `now` on the cluster's clock.
    pub(super) at: u64,
    /// Hash of what keeps requests together, where that is asked for.
    pub(super) key: Option<u64>,
}

impl<'a> Choice<'a> {
    /// An endpoint that takes requests; none: no wanted one does.
    pub(super) fn by(&self, balance: &Balance, turn: &AtomicUsize) -> Option<&'a Arc<Endpoint>> {
        match (balance, self.key) {
            (Balance::ConsistentHash { .. }, Some(key)) => self.owner(key),
            (Balance::RoundRobin, _) => self.in_turn(turn),
            (Balance::LeastRequest, _) => self.lesser(|endpoint| f64::from(endpoint.in_flight())),
            (Balance::PeakEwma | Balance::ConsistentHash { .. }, _) => {
                self.lesser(|endpoint| endpoint.load(self.now))
            }
        }
    }

    /// The lesser of two random ones.
    fn lesser(&self, load: impl Fn(&Endpoint) -> f64) -> Option<&'a Arc<Endpoint>> {
        if self.ready().is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let (one, other) = self.two();
            match ((self.wanted)(one), (self.wanted)(other)) {
                (true, true) if Arc::ptr_eq(one, other) => return Some(one),
                (true, true) if load(other) < load(one) => return Some(other),
                (true, _) => return Some(one),
                (false, true) => return Some(other),
                (false, false) => {}
            }
        }
        self.any()
    }

    /// The next one, less those that have to wait for their share.
    fn in_turn(&self, turn: &AtomicUsize) -> Option<&'a Arc<Endpoint>> {
        let ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let next = &ready[turn.fetch_add(1, Ordering::Relaxed) % ready.len()];
            if self.earns(next) && (self.wanted)(&next.endpoint) {
                return Some(&next.endpoint);
            }
        }
        self.any()
    }

    /// The one that the key belongs to, or the next in its order that is fit.
    fn owner(&self, key: u64) -> Option<&'a Arc<Endpoint>> {
        let members = self.set.members();
        let owners = self.set.table()?.owners(key).take(SLOTS);
        owners
            .map(|owner| &members[owner])
            .find(|owner| self.is_fit(owner) && (self.wanted)(&owner.endpoint))
            .map(|owner| &owner.endpoint)
            .or_else(|| self.any())
    }

    /// An ejected owner takes its own key as the probe that is due: keys stay together.
    fn is_fit(&self, member: &Member) -> bool {
        let tier = self.ready().first().map_or(u16::MAX, |ready| ready.tier);
        let endpoint = &member.endpoint;
        member.tier <= tier && (endpoint.takes_requests() || endpoint.probe_at() <= self.at)
    }

    /// Any wanted one, from a random start on.
    fn any(&self) -> Option<&'a Arc<Endpoint>> {
        let ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        let (before, after) = ready.split_at(self.random.below(ready.len()));
        after
            .iter()
            .chain(before)
            .map(|member| &member.endpoint)
            .find(|endpoint| (self.wanted)(endpoint))
    }

    /// Two of those that are ready, different ones if all get the same share.
    fn two(&self) -> (&'a Arc<Endpoint>, &'a Arc<Endpoint>) {
        let ready = self.ready();
        if ready.len() == 1 {
            return (&ready[0].endpoint, &ready[0].endpoint);
        }
        if !self.set.is_even(self.at) {
            return (self.one(), self.one());
        }
        let one = self.random.below(ready.len());
        let step = 1 + self.random.below(ready.len() - 1);
        let other = (one + step) % ready.len();
        (&ready[one].endpoint, &ready[other].endpoint)
    }

    /// One of them, each as often as its share says.
    fn one(&self) -> &'a Arc<Endpoint> {
        let ready = self.ready();
        let mut drawn = &ready[self.random.below(ready.len())];
        for _ in 1..DRAWS {
            if self.earns(drawn) {
                break;
            }
            drawn = &ready[self.random.below(ready.len())];
        }
        &drawn.endpoint
    }

    /// Draws whether a member gets the request that came to it: as often as its share.
    fn earns(&self, member: &Member) -> bool {
        if self.set.is_even(self.at) {
            return true;
        }
        let warmth = self
            .set
            .slow_start()
            .map_or(1.0, |time| member.endpoint.warmth(time, self.now));
        self.random.unit() < f64::from(member.share) * warmth
    }

    fn ready(&self) -> &'a [Member] {
        self.set.ready()
    }
}
