//! Collects what arrives into batches and sends them, one after the other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use metrics::Counter;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};

use super::{ExportSettings, Item, client::Client};
use crate::{catalog, exemplar::Pending, otlp::Packet, register::counter};

/// The far end of the queue.
pub(super) struct Batches {
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) stop: watch::Receiver<bool>,
    /// Told by the near end when half a batch waits.
    enough: Arc<Notify>,
    client: Client,
    packet: Packet,
    /// What leads to the spans of the packet.
    exemplars: Vec<Pending>,
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
        enough: Arc<Notify>,
        client: Client,
        settings: &ExportSettings,
    ) -> Self {
        Self {
            items,
            stop,
            enough,
            client,
            packet: Packet::new(&settings.resource),
            exemplars: Vec::new(),
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
            first.write(&mut self.packet, &mut self.exemplars);
            self.gather().await;
            self.fill();
            if self.packet.spans() == 0 {
                self.exemplars.truncate(self.size); // their spans are still to come
                continue;
            }
            let spans = self.packet.spans() as u64;
            let packet = self.packet.take();
            self.send(packet, spans).await;
        }
    }

    /// Sleeps until there is enough for a batch or the delay is over: to be woken for
    /// every span would cost more than the span.
    async fn gather(&mut self) {
        if self.items.is_closed() {
            return;
        }
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => self.items.close(),
            () = self.enough.notified() => {}
            () = sleep(self.delay) => {}
        }
    }

    /// Writes what waits, as far as it belongs into one batch.
    fn fill(&mut self) {
        while self.packet.spans() < self.size && !self.packet.is_full() {
            match self.items.try_recv() {
                Ok(item) => item.write(&mut self.packet, &mut self.exemplars),
                Err(_) => return, // empty for now, or for good
            }
        }
    }

    async fn send(&mut self, packet: Bytes, spans: u64) {
        let error = match timeout(self.timeout, self.client.export(packet)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {:?}", self.timeout)),
        };
        // A dot on a chart leads to a trace that arrived, or there is none.
        if error.is_none() {
            self.exported.increment(spans);
            self.exemplars.drain(..).for_each(Pending::settle);
        } else {
            self.failed.increment(spans);
            self.exemplars.clear();
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

    use opentelemetry_sdk::Resource;
    use tokio::sync::{Notify, mpsc, watch};

    use super::{Batches, Client, ExportSettings};

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
            try_timeout: Duration::from_secs(1),
            headers: http::HeaderMap::new(),
        };
        let client = Client::new(&settings).unwrap();
        let (items, stop) = (mpsc::channel(1).1, watch::channel(false).1);
        let enough = Arc::<Notify>::default();
        Batches::new(items, stop, enough, client, &settings)
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
