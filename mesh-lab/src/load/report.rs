//! What a run came to.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    LoadOptions,
    mix::Kind,
    stats::{Inner, Tally},
};

/// Result of a run; its JSON form is `glassmesh load --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Base URL of the shop.
    pub target: String,
    /// Seed of the random choices; give it again to repeat them.
    pub seed: u64,
    /// Arrivals a second that were asked for.
    pub wanted_rps: f64,
    /// Requests a second that were answered or given up.
    pub rps: f64,
    /// Time from the start to the last answer, seconds.
    pub seconds: f64,
    /// Arrivals that found all slots taken, or came too late.
    pub not_sent: u64,
    /// All requests.
    pub all: KindReport,
    /// By kind; kinds that were not sent are absent.
    pub kinds: BTreeMap<&'static str, KindReport>,
    /// Failed requests by status and the mesh's reason, or by what broke.
    pub errors: BTreeMap<String, u64>,
}

/// Figures of one kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct KindReport {
    /// Requests.
    pub count: u64,
    /// Share answered with a status below 400, 0 to 1; 1 without requests.
    pub success: f64,
    /// Time from when a request was due to its last byte.
    pub latency: Latency,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Slowest.
    pub max_ms: f64,
}

pub(super) fn of(inner: &Inner, elapsed: Duration, options: &LoadOptions) -> Report {
    let all = kind_report(&inner.all());
    let seconds = elapsed.as_secs_f64();
    let kinds = |kind: Kind| Some((kind.name(), kind_report(inner.kinds.get(&kind)?)));
    Report {
        target: options.target.to_string(),
        seed: options.seed,
        wanted_rps: options.rps,
        rps: all.count as f64 / seconds.max(f64::EPSILON),
        seconds,
        not_sent: inner.not_sent,
        kinds: Kind::ALL.into_iter().filter_map(kinds).collect(),
        errors: inner.errors.clone(),
        all,
    }
}

fn kind_report(tally: &Tally) -> KindReport {
    let count = tally.latency.len();
    let success = if count == 0 {
        1.0
    } else {
        tally.ok as f64 / count as f64
    };
    KindReport {
        count,
        success,
        latency: Latency {
            p50_ms: quantile_ms(&tally.latency, 0.5),
            p90_ms: quantile_ms(&tally.latency, 0.9),
            p99_ms: quantile_ms(&tally.latency, 0.99),
            max_ms: tally.latency.max() as f64 / 1000.0,
        },
    }
}

/// A quantile of microseconds, in milliseconds.
pub(super) fn quantile_ms(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1000.0
}
