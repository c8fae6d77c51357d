//! The way of spans out of the process: a bounded queue, and a thread with a
//! runtime of its own at its end.
//!
//! Whoever offers a span never waits: a full queue drops it, and that is counted.
//! The thread has its own runtime so that a hanging collector cannot hold up the
//! process's, and so that the last spans leave even when that one is busy ending.

mod batch;
mod thread;

use metrics::Counter;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;

use crate::{catalog, proxy::FinishedRequest, register::counter};

pub(crate) use thread::{ExportSettings, Exporter};

/// What waits for export.
#[derive(Debug)]
pub(crate) enum Item {
    /// A request at a sidecar.
    Request(FinishedRequest),
    /// A span of a service.
    Span(Box<SpanData>),
}

impl Item {
    fn spans(&self) -> usize {
        match self {
            Self::Request(request) => request.span_count(),
            Self::Span(_) => 1,
        }
    }
}

/// The near end of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Item>,
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
    fn new(sender: mpsc::Sender<Item>) -> Self {
        let dropped = counter(&catalog::SPANS, &["dropped"]);
        Self { sender, dropped }
    }

    /// Takes a request, or drops it when the queue is full.
    pub(crate) fn offer_request(&self, request: FinishedRequest) {
        self.offer(Item::Request(request));
    }

    /// Takes a span, or drops it when the queue is full.
    pub(crate) fn offer_span(&self, span: SpanData) {
        self.offer(Item::Span(Box::new(span)));
    }

    fn offer(&self, item: Item) {
        if let Err(refused) = self.sender.try_send(item) {
            self.dropped.increment(refused.into_inner().spans() as u64);
        }
    }
}
