//! The way of spans out of the process: a bounded queue, and a thread with a
//! runtime of its own at its end.
//!
//! Whoever offers a span never waits: a full queue drops it, and that is counted.
//! The thread has its own runtime so that a hanging collector cannot hold up the
//! process's, and so that the last spans leave even when that one is busy ending.

mod batch;
mod client;
mod thread;

use std::sync::Arc;

use metrics::Counter;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::{Notify, mpsc};

use crate::{catalog, exemplar::Pending, otlp::Packet, proxy::FinishedRequest, register::counter};

pub(crate) use thread::{ExportSettings, Exporter};

/// What waits for export.
#[derive(Debug)]
pub(crate) enum Item {
    /// A request at a sidecar.
    Request(FinishedRequest),
    /// A span of a service.
    Span(Box<SpanData>),
    /// What leads to a span of a service that comes later.
    Exemplar(Box<Pending>),
}

impl Item {
    fn spans(&self) -> usize {
        match self {
            Self::Request(request) => request.span_count(),
            Self::Span(_) => 1,
            Self::Exemplar(_) => 0,
        }
    }

    /// Writes its spans, and adds what leads to them.
    fn write(self, to: &mut Packet, exemplars: &mut Vec<Pending>) {
        match self {
            Self::Request(request) => {
                request.write(to);
                request.exemplars(exemplars);
            }
            Self::Span(span) => to.add(&span.instrumentation_scope, |mut to| to.sdk(&span)),
            Self::Exemplar(pending) => exemplars.push(*pending),
        }
    }
}

/// The near end of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Item>,
    /// Wakes the far end when enough waits; else it looks by itself, a little later.
    enough: Arc<Notify>,
    /// Free places from which on that is so.
    low: usize,
    dropped: Counter,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Queue")
            .field("free", &self.sender.capacity())
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue whose far end takes `batch` spans at a time. Half as many items are
    /// enough: a request at a sidecar is two spans as a rule.
    fn new(sender: mpsc::Sender<Item>, enough: Arc<Notify>, batch: usize) -> Self {
        let places = sender.max_capacity();
        let waiting = batch.div_ceil(2).min(places.div_ceil(2)).max(1);
        Self {
            low: places - waiting,
            sender,
            enough,
            dropped: counter(&catalog::SPANS, &["dropped"]),
        }
    }

    /// Takes a request, or drops it when the queue is full.
    pub(crate) fn offer_request(&self, request: FinishedRequest) {
        self.offer(Item::Request(request));
    }

    /// Takes a span, or drops it when the queue is full.
    pub(crate) fn offer_span(&self, span: SpanData) {
        self.offer(Item::Span(Box::new(span)));
    }

    /// Takes what leads to a span that is offered next; a full queue drops that, too.
    pub(crate) fn offer_exemplar(&self, pending: Pending) {
        self.offer(Item::Exemplar(Box::new(pending)));
    }

    fn offer(&self, item: Item) {
        if let Err(refused) = self.sender.try_send(item) {
            self.dropped.increment(refused.into_inner().spans() as u64);
        }
        if self.sender.capacity() <= self.low {
            self.enough.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use http::Request;
    use tokio::{
        sync::{Notify, mpsc},
        time::timeout,
    };

    use super::Queue;
    use crate::proxy::{Direction, FinishedRequest, RequestOutcome, RequestScope, Sink};

    fn finished() -> FinishedRequest {
        let sink = Sink::disconnected();
        let request = Request::get("/").body(()).unwrap().into_parts().0;
        let scope = RequestScope::begin(&sink, Direction::Inbound, &request);
        scope.finish(RequestOutcome::default());
        sink.take().remove(0)
    }

    /// Which of ten requests wakes the far end, which takes none.
    async fn woken_at(places: usize, batch: usize) -> Option<usize> {
        let (sender, _items) = mpsc::channel(places);
        let enough = Arc::<Notify>::default();
        let queue = Queue::new(sender, Arc::clone(&enough), batch);
        for offered in 1..=10 {
            queue.offer_request(finished());
            let told = timeout(Duration::ZERO, enough.notified()).await;
            if told.is_ok() {
                return Some(offered);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn the_exporter_is_woken_when_half_a_batch_waits() {
        assert_eq!(woken_at(100, 8).await, Some(4));
        assert_eq!(woken_at(100, 512).await, None, "its delay wakes it");
        assert_eq!(woken_at(6, 512).await, Some(3), "before the queue is full");
        assert_eq!(woken_at(1, 1).await, Some(1));
    }
}
