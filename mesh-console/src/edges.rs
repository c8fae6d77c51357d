//! What flows between services, from the sidecars' own metric pages: the same
//! numbers that Prometheus would scrape, so that the two can never disagree.

mod exposition;
mod histogram;
mod history;
mod page;
mod scrape;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mesh_proxy::config::Place;
use tokio::time::Instant;

use crate::{
    api::{EdgeSample, EdgeState, Signals},
    chaos::Watched,
    names::EXTERNAL,
    registry::Key,
};
use history::History;
use page::{Page, Side, Totals};
pub(crate) use scrape::{Scraper, Target};
use window::Window;

/// Most edges that are followed; labels come from configured names, so that
/// more would be a sidecar gone mad.
const MOST_EDGES: usize = 1_024;

/// Most rules whose faults are counted.
const MOST_RULES: usize = 1_024;

/// Ticks after which a sidecar whose page was not read is forgotten: instances come
/// and go under new names, and ten minutes are more than any restart takes.
const FORGET_TICKS: u64 = 600;

/// Ticks between two samples that are kept.
const SAMPLE_TICKS: u64 = 5;

/// An edge as one side sees it.
type EdgeKey = (Side, String, String);

/// Rates over the last seconds, samples of the last minutes, totals since start.
#[derive(Default)]
pub(crate) struct Edges {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ticks: window::Ticks,
    count: u64,
    pages: BTreeMap<Key, LastPage>,
    edges: BTreeMap<EdgeKey, Window>,
    instances: BTreeMap<Key, Window>,
    rules: BTreeMap<String, f64>,
    history: BTreeMap<(String, String), History>,
}

/// Last page of a sidecar.
struct LastPage {
    /// The process that made it.
    pid: u32,
    page: Page,
    /// Tick in which it was read.
    tick: u64,
}

/// A sidecar's page, just read.
pub(crate) struct Scraped {
    pub(crate) key: Key,
    pub(crate) pid: u32,
    page: Page,
}

impl Edges {
    /// Takes in what the sidecars show at one moment.
    pub(crate) fn apply(&self, at: Instant, at_ms: u64, scraped: Vec<Scraped>) {
        let mut state = self.lock();
        state.ticks.push(at);
        state.advance();
        for one in scraped {
            state.take(one);
        }
        state.count += 1;
        state.forget();
        if state.count.is_multiple_of(SAMPLE_TICKS) {
            state.sample(at_ms);
        }
    }

    /// All edges that were seen, with those that are allowed.
    pub(crate) fn edges(&self, allowed: BTreeSet<(String, String)>) -> Vec<EdgeState> {
        let state = self.lock();
        let mut pairs = allowed;
        pairs.extend(state.pairs());
        pairs
            .into_iter()
            .map(|(source, destination)| state.edge(source, destination))
            .collect()
    }

    /// What arrives at a service, from everybody.
    pub(crate) fn inbound(&self, service: &str) -> Signals {
        let state = self.lock();
        let mut sum = Totals::default();
        for window in state.inbound(service) {
            sum.add(&window.sum());
        }
        signals(&sum, state.ticks.seconds())
    }

    /// What went over an edge, or arrived at a service, in whole ticks of the last time.
    pub(crate) fn watched(&self, place: &Place, time: Duration) -> Watched {
        let state = self.lock();
        let ticks = time.as_secs();
        let mut sum = Totals::default();
        match place {
            Place::Edge {
                source,
                destination,
            } => sum = state.sum(source, destination, |window| window.last(ticks)),
            Place::Node(service) => {
                for window in state.inbound(service) {
                    sum.add(&window.last(ticks));
                }
            }
        }
        Watched {
            requests: sum.requests,
            failed: sum.failed,
        }
    }

    /// Requests a second at one instance's inbound side.
    pub(crate) fn instance_rps(&self, key: &Key) -> f64 {
        let state = self.lock();
        let sum = state.instances.get(key).map(Window::sum);
        per_second(sum.unwrap_or_default().requests, state.ticks.seconds())
    }

    /// Faults each rule injected since the console started.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        let state = self.lock();
        let rules = state.rules.iter();
        rules
            .map(|(rule, count)| (rule.clone(), whole(*count)))
            .collect()
    }

    /// Samples of an edge, oldest first; none for one that was never seen.
    pub(crate) fn history(&self, source: &str, destination: &str) -> Option<Vec<EdgeSample>> {
        let pair = (source.to_owned(), destination.to_owned());
        self.lock().history.get(&pair).map(History::samples)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn advance(&mut self) {
        for window in self.edges.values_mut().chain(self.instances.values_mut()) {
            window.advance();
        }
    }

    /// Adds what is new on a page since the last one of this sidecar. The first
    /// page of a sidecar says nothing about when its counts were made; that of
    /// another process of the same sidecar began at zero.
    fn take(&mut self, scraped: Scraped) {
        let Scraped { key, pid, page } = scraped;
        let last = LastPage {
            pid,
            page: page.clone(),
            tick: self.count,
        };
        let Some(old) = self.pages.insert(key.clone(), last) else {
            return;
        };
        let fresh = if old.pid == pid {
            page.since(&old.page)
        } else {
            page
        };
        let mut arrived = Totals::default();
        for (edge, totals) in fresh.edges {
            if edge.0 == Side::Inbound {
                arrived.add(&totals);
            }
            if self.edges.contains_key(&edge) || self.edges.len() < MOST_EDGES {
                self.edges.entry(edge).or_default().add(&totals);
            }
        }
        self.instances.entry(key).or_default().add(&arrived);
        for (rule, count) in fresh.rules {
            if self.rules.contains_key(&rule) || self.rules.len() < MOST_RULES {
                *self.rules.entry(rule).or_default() += count;
            }
        }
    }

    /// Lets go of sidecars that are gone for good.
    fn forget(&mut self) {
        let now = self.count;
        self.pages.retain(|_, last| now - last.tick <= FORGET_TICKS);
        let pages = &self.pages;
        self.instances.retain(|key, _| pages.contains_key(key));
    }

    /// Windows of what arrives at a service, by caller.
    fn inbound(&self, service: &str) -> impl Iterator<Item = &Window> {
        let arrives = move |(side, _, destination): &EdgeKey| {
            *side == Side::Inbound && destination == service
        };
        let edges = self.edges.iter();
        edges
            .filter(move |(key, _)| arrives(key))
            .map(|(_, window)| window)
    }

    fn pairs(&self) -> BTreeSet<(String, String)> {
        let seen = self.edges.keys();
        seen.filter(|(side, source, _)| *side == Side::Outbound || source == EXTERNAL)
            .map(|(_, source, destination)| (source.clone(), destination.clone()))
            .collect()
    }

    fn edge(&self, source: String, destination: String) -> EdgeState {
        let seconds = self.ticks.seconds();
        let sum = self.sum(&source, &destination, Window::sum);
        EdgeState {
            requests: signals(&sum, seconds),
            attempts_per_second: per_second(sum.attempts, seconds),
            attempt_success: share_without(sum.failed_attempts, sum.attempts),
            retries_per_second: per_second(sum.retries, seconds),
            faults_per_second: per_second(sum.faults, seconds),
            source,
            destination,
        }
    }

    /// Requests as the caller's side counts them; callers outside have no side,
    /// so theirs are counted where they arrive. Faults count on either.
    fn sum(&self, source: &str, destination: &str, of: impl Fn(&Window) -> Totals) -> Totals {
        let of_side = |side: Side| {
            let key = (side, source.to_owned(), destination.to_owned());
            self.edges.get(&key).map(&of).unwrap_or_default()
        };
        let outbound = of_side(Side::Outbound);
        if source != EXTERNAL {
            return outbound;
        }
        let mut inbound = of_side(Side::Inbound);
        inbound.faults += outbound.faults;
        inbound
    }

    fn sample(&mut self, at_ms: u64) {
        let seconds = self.ticks.seconds_of(SAMPLE_TICKS);
        for (source, destination) in self.pairs() {
            let sum = self.sum(&source, &destination, |window| window.last(SAMPLE_TICKS));
            let sample = sample(at_ms, &sum, seconds);
            let pair = (source, destination);
            self.history.entry(pair).or_default().push(sample);
        }
    }
}

fn signals(totals: &Totals, seconds: f64) -> Signals {
    let millis = |share| histogram::quantile(&totals.buckets, share).map(|seconds| seconds * 1e3);
    Signals {
        rps: per_second(totals.requests, seconds),
        success: share_without(totals.failed, totals.requests),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
    }
}

fn sample(at_ms: u64, totals: &Totals, seconds: f64) -> EdgeSample {
    EdgeSample {
        at_ms,
        requests: signals(totals, seconds),
        attempt_success: share_without(totals.failed_attempts, totals.attempts),
        retries_per_second: per_second(totals.retries, seconds),
        faults_per_second: per_second(totals.faults, seconds),
    }
}

fn per_second(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

fn share_without(failed: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| (1.0 - failed / all).clamp(0.0, 1.0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of counters: whole and not negative"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests;
