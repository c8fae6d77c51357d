//! The thread that exports.

use std::{
    sync::{Arc, mpsc as blocking},
    thread,
    time::Duration,
};

use http::HeaderMap;
use opentelemetry_sdk::Resource;
use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    Queue,
    batch::{Batches, stopped},
    client::Client,
};
use crate::TelemetryError;

/// Longest that the end of a process waits for its last spans.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// When the thread itself gives up, a little earlier.
const LAST_SPANS: Duration = Duration::from_millis(1900);

/// How spans leave.
#[derive(Clone, Debug)]
pub(crate) struct ExportSettings {
    /// OTLP/gRPC endpoint.
    pub(crate) endpoint: String,
    /// What all spans of the process share.
    pub(crate) resource: Resource,
    /// Most items that wait.
    pub(crate) queue: usize,
    /// Most spans in one export (a request at a sidecar may add a few).
    pub(crate) batch: usize,
    /// Longest that a span waits for others.
    pub(crate) delay: Duration,
    /// Longest that one export takes, with its repetitions.
    pub(crate) timeout: Duration,
    /// Longest that one try of it takes.
    pub(crate) try_timeout: Duration,
    /// What the collector wants to see in every call, as keys.
    pub(crate) headers: HeaderMap,
}

/// The running thread, to be stopped at the end.
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: Queue,
    stop: watch::Sender<bool>,
    done: oneshot::Receiver<()>,
}

impl Exporter {
    /// Starts the thread; returns when its client is made (it connects later).
    pub(crate) fn start(settings: ExportSettings) -> Result<Self, TelemetryError> {
        let (sender, items) = mpsc::channel(settings.queue.max(1));
        let enough = Arc::<Notify>::default();
        let queue = Queue::new(sender, Arc::clone(&enough), settings.batch);
        let (stop, stop_told) = watch::channel(false);
        let (done_told, done) = oneshot::channel();
        let (made_told, made) = blocking::sync_channel(1);
        let work = move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(made_told.send(Err(TelemetryError::Thread(error)))),
            };
            runtime.block_on(async {
                match Client::new(&settings) {
                    Ok(client) => {
                        drop(made_told.send(Ok(())));
                        work(Batches::new(items, stop_told, enough, client, &settings)).await;
                    }
                    Err(error) => drop(made_told.send(Err(error))),
                }
            });
            runtime.shutdown_background();
            let _nobody_waits = done_told.send(());
        };
        let thread = thread::Builder::new().name("mesh-telemetry".to_owned());
        thread.spawn(work).map_err(TelemetryError::Thread)?;
        let gone = |_| TelemetryError::Thread(std::io::Error::other("it ended at once"));
        made.recv().map_err(gone)??;
        Ok(Self { queue, stop, done })
    }

    /// The near end of the queue.
    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Sends what is left, for two seconds at most.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        if timeout(SHUTDOWN, self.done).await.is_err() {
            tracing::warn!("the last spans could not be exported within {SHUTDOWN:?}");
        }
    }
}

/// Exports until the end, and then for a bounded time.
async fn work(mut batches: Batches) {
    let mut stop = batches.stop.clone();
    let given_up = async {
        stopped(&mut stop).await;
        sleep(LAST_SPANS).await;
    };
    tokio::select! {
        () = batches.run() => {}
        () = given_up => tracing::warn!("the collector took too long: the last spans are lost"),
    }
}
