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
