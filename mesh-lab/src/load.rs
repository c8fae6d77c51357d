//! Open-loop load: requests start when they are due, not when others have ended.

mod client;
mod mix;
mod outage;
mod report;
mod schedule;
mod shop;
mod stats;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use mix::{Kind, Mix};
pub use report::{KindReport, Latency, Report};
pub use stats::{Live, Stats};

use client::Client;
use schedule::Schedule;
use shop::{Draw, Shop};

/// Time for answers on their way once a run is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What to send, where to, and how fast.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Base URL of the shop, as `http://127.0.0.1:4080`.
    pub target: Uri,
    /// Arrivals a second; must be above zero.
    pub rps: f64,
    /// Time after which no more requests are sent; none: until shut down.
    pub duration: Option<Duration>,
    /// Start of every random choice: the same seed asks for the same kinds,
    /// products and quantities in the same order.
    pub seed: u64,
    /// Shares of the kinds of requests.
    pub mix: Mix,
    /// Most requests in flight; an arrival beyond it is counted as not sent.
    pub max_in_flight: usize,
    /// Time after which an answer is no longer waited for.
    pub timeout: Duration,
}

impl LoadOptions {
    /// Most requests in flight by default: the default timeout at 50 requests a second.
    pub const MAX_IN_FLIGHT: usize = 512;
    /// Longer than every deadline of the built-in mesh file, so that the shop's
    /// own answer to a deadline is what gets counted.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

/// Sends requests until the duration is over or `shutdown` is cancelled, waits
/// for the answers still on their way, and reports. `stats` can be read meanwhile.
pub async fn run(options: LoadOptions, stats: Arc<Stats>, shutdown: CancellationToken) -> Report {
    let visitor = Visitor {
        client: Client::new(options.timeout),
        shop: Arc::new(Shop::new(&options)),
        stats: Arc::clone(&stats),
    };
    let slots = Arc::new(Semaphore::new(options.max_in_flight));
    let tracker = TaskTracker::new();
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut schedule = Schedule::new(options.rps, options.duration, Instant::now());
    while let Some(due) = schedule.next() {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep_until(due) => {}
        }
        stats.not_sent(schedule.skip_missed(Instant::now()));
        let draw = Draw::new(&mut random);
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            stats.not_sent(1);
            continue;
        };
        let (kind, request) = visitor.shop.request(&options.mix, draw);
        let started = schedule::start_of_latency(due, Instant::now());
        let visit = visitor.clone().visit(kind, request, started);
        let exchange = async move {
            visit.await;
            drop(slot);
        };
        mesh_telemetry::task::spawn("load-request", tracker.track_future(exchange));
    }
    tracker.close();
    tokio::select! {
        // Each request ends by its own timeout: this wait is bounded.
        () = tracker.wait() => {}
        () = late(&shutdown) => {}
    }
    stats.report(&options)
}

/// What one request of a run works with.
#[derive(Clone)]
struct Visitor {
    client: Client,
    shop: Arc<Shop>,
    stats: Arc<Stats>,
}

impl Visitor {
    async fn visit(self, kind: Kind, request: Request<Full<Bytes>>, started: Instant) {
        let answer = self.client.send(request).await;
        self.stats.record(kind, started.elapsed(), &answer);
        if let Ok(answer) = answer {
            self.shop.learn(kind, &answer);
        }
    }
}

/// Resolves when answers are no longer worth waiting for.
async fn late(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// A seed for runs that need not be repeated.
#[must_use]
pub fn random_seed() -> u64 {
    // Short enough to be typed again from a report.
    rand::rng().random_range(1..1_000_000)
}

#[cfg(test)]
mod tests;
