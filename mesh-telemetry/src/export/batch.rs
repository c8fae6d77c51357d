//! Collects what arrives into batches and sends them, one after the other.

use std::time::Duration;

use metrics::Counter;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

use super::{ExportSettings, Item};
use crate::{catalog, register::counter};

/// The far end of the queue.
pub(super) struct Batches {
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) stop: watch::Receiver<bool>,
    exporter: SpanExporter,
    size: usize,
    delay: Duration,
    timeout: Duration,
    exported: Counter,
    failed: Counter,
    failing: bool,
}

impl Batches {
    pub(super) fn new(
        items: mpsc::Receiver<Item>,
        stop: watch::Receiver<bool>,
        exporter: SpanExporter,
        settings: &ExportSettings,
    ) -> Self {
        Self {
            items,
            stop,
            exporter,
            size: settings.batch,
            delay: settings.delay,
            timeout: settings.timeout,
            exported: counter(&catalog::SPANS, &["exported"]),
            failed: counter(&catalog::SPANS, &["failed"]),
            failing: false,
        }
    }

    /// Sends batches until the queue is closed and empty. Once told to stop, it takes
    /// no more in and does not wait for batches to fill.
    pub(super) async fn run(&mut self) {
        loop {
            let first = tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !self.items.is_closed() => {
                    self.items.close();
                    continue;
                }
                first = self.items.recv() => first,
            };
            let Some(first) = first else { return };
            let batch = self.collect(first).await;
            self.send(batch).await;
        }
    }

    /// Fills a batch for as long as the delay allows.
    async fn collect(&mut self, first: Item) -> Vec<SpanData> {
        let mut batch = Vec::new();
        add(&mut batch, first);
        let until = Instant::now() + self.delay;
        while batch.len() < self.size {
            let next = tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !self.items.is_closed() => {
                    self.items.close();
                    continue;
                }
                next = timeout_at(until, self.items.recv()) => next,
            };
            match next {
                Ok(Some(item)) => add(&mut batch, item),
                Ok(None) | Err(_) => break, // closed and empty, or long enough
            }
        }
        batch
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let error = match timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {:?}", self.timeout)),
        };
        match error {
            None => self.exported.increment(spans),
            Some(_) => self.failed.increment(spans),
        }
        self.log_change(error);
    }

    /// One line when export begins to fail and one when it works again: a collector
    /// that is down must not flood the log.
    fn log_change(&mut self, error: Option<String>) {
        let failing = error.is_some();
        match error {
            Some(error) if !self.failing => {
                tracing::warn!(
                    error,
                    "spans cannot be exported; they are counted and dropped"
                );
            }
            None if self.failing => tracing::warn!("spans are exported again"),
            _ => {}
        }
        self.failing = failing;
    }
}

fn add(batch: &mut Vec<SpanData>, item: Item) {
    match item {
        Item::Request(request) => batch.extend(request.spans()),
        Item::Span(span) => batch.push(*span),
    }
}

/// Resolves when the process wants to end, or whoever could say so is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::Resource;
    use tokio::sync::{mpsc, watch};

    use super::{Batches, ExportSettings};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batches() -> Batches {
        let settings = ExportSettings {
            endpoint: "http://127.0.0.1:1".to_owned(),
            resource: Resource::builder_empty().build(),
            queue: 1,
            batch: 1,
            delay: Duration::ZERO,
            timeout: Duration::from_secs(1),
        };
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .build()
            .unwrap();
        let (items, stop) = (mpsc::channel(1).1, watch::channel(false).1);
        Batches::new(items, stop, exporter, &settings)
    }

    #[tokio::test]
    async fn a_collector_that_stays_down_is_told_of_once_and_its_return_too() {
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let mut batches = batches();
        for error in [Some("refused"), Some("refused"), None, None] {
            batches.log_change(error.map(str::to_owned));
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("cannot be exported").count(), 1, "{text}");
        assert_eq!(text.matches("exported again").count(), 1, "{text}");
    }
}
