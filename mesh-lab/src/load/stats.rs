//! Counts and latencies while a run goes on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::{
    LoadOptions,
    client::{Answer, Failure},
    mix::Kind,
    outage::{Change, Outage},
    report::{self, Report},
};

/// Different errors a report names; more are counted as `other`.
const MOST_ERRORS: usize = 32;

/// What has been sent and answered so far; shared by all requests of a run.
pub struct Stats {
    started: Instant,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) kinds: BTreeMap<Kind, Tally>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) not_sent: u64,
    outage: Outage,
}

/// Answers of one kind of request.
pub(super) struct Tally {
    pub(super) ok: u64,
    /// Microseconds, three significant digits.
    pub(super) latency: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new(3).expect("three significant digits are allowed");
        Self { ok: 0, latency }
    }
}

/// Figures for a line that is rewritten while the run goes on.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Time since the start.
    pub elapsed: Duration,
    /// Requests answered or given up.
    pub done: u64,
    /// Of those, answered with a status below 400.
    pub ok: u64,
    /// Arrivals that found all slots taken, or came too late.
    pub not_sent: u64,
    /// Median and 99th percentile of all, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of all, milliseconds.
    pub p99_ms: f64,
}

impl Default for Stats {
    /// Nothing yet; the clock starts now.
    fn default() -> Self {
        Self {
            started: Instant::now(),
            inner: Mutex::new(Inner {
                kinds: BTreeMap::new(),
                errors: BTreeMap::new(),
                not_sent: 0,
                outage: Outage::default(),
            }),
        }
    }
}

impl Stats {
    /// Where the run stands now.
    #[must_use]
    pub fn live(&self) -> Live {
        let inner = self.inner();
        let all = inner.all();
        Live {
            elapsed: self.started.elapsed(),
            done: all.latency.len(),
            ok: all.ok,
            not_sent: inner.not_sent,
            p50_ms: report::quantile_ms(&all.latency, 0.5),
            p99_ms: report::quantile_ms(&all.latency, 0.99),
        }
    }

    pub(super) fn not_sent(&self, count: u64) {
        self.inner().not_sent += count;
    }

    pub(super) fn record(&self, kind: Kind, latency: Duration, answer: &Result<Answer, Failure>) {
        let mut inner = self.inner();
        let tally = inner.kinds.entry(kind).or_insert_with(Tally::new);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // Cannot fail: the histogram grows to whatever comes (`saturating_record` does not).
        let _ = tally.latency.record(micros.max(1));
        match error(answer) {
            None => tally.ok += 1,
            Some(error) => inner.count_error(error),
        }
        say(inner.notice(answer).as_ref(), answer);
    }

    pub(super) fn report(&self, options: &LoadOptions) -> Report {
        report::of(&self.inner(), self.started.elapsed(), options)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// All kinds together.
    pub(super) fn all(&self) -> Tally {
        let mut all = Tally::new();
        for tally in self.kinds.values() {
            all.ok += tally.ok;
            // Cannot fail: the sum is a histogram that grows by itself.
            let _ = all.latency.add(&tally.latency);
        }
        all
    }

    fn count_error(&mut self, error: String) {
        let known = self.errors.len() < MOST_ERRORS || self.errors.contains_key(&error);
        let key = if known { error } else { "other".to_owned() };
        *self.errors.entry(key).or_default() += 1;
    }

    fn notice(&mut self, answer: &Result<Answer, Failure>) -> Option<Change> {
        let now = Instant::now();
        match answer {
            Ok(_) => self.outage.answered(now),
            Err(_) => self.outage.failed(now),
        }
    }
}

/// The key under which a failed request is counted, as `503 deadline`; none: it succeeded.
fn error(answer: &Result<Answer, Failure>) -> Option<String> {
    let answer = match answer {
        Ok(answer) if answer.status.as_u16() < 400 => return None,
        Ok(answer) => answer,
        Err(failure) => return Some(failure.code().to_owned()),
    };
    let status = answer.status.as_u16();
    let reason = answer.headers.get("x-mesh-reason");
    Some(match reason.and_then(|reason| reason.to_str().ok()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    })
}

fn say(change: Option<&Change>, answer: &Result<Answer, Failure>) {
    let why = answer.as_ref().err().map_or("", |failure| failure.code());
    match change {
        Some(Change::Down) => tracing::warn!("the shop does not answer ({why}); trying on"),
        Some(Change::Up { seconds }) => {
            tracing::warn!("the shop answers again, after {seconds} s");
        }
        None => {}
    }
}
