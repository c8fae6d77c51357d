//! An OTLP/gRPC receiver that remembers which spans came, so that every one of them can
//! be checked when a run is over.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, runtime};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Largest message that is taken; tonic's own limit is 4 MiB, less than a large batch.
const LARGEST: usize = 64 << 20;

/// A receiver on a thread of its own; ends when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    arrived: Arc<Mutex<Arrived>>,
    end: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Arrived {
    spans: Vec<Ids>,
    malformed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ids {
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
}

/// What a check of all spans showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Spans that came.
    pub(crate) spans: u64,
    /// Traces of exactly the expected number of spans, with one root and every other
    /// span's parent among them.
    pub(crate) whole: u64,
    /// Other traces.
    pub(crate) broken: u64,
    /// Spans without proper ids or with an end before their start.
    pub(crate) malformed: u64,
}

impl Receiver {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let arrived = Arc::<Mutex<Arrived>>::default();
        let end = CancellationToken::new();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let service = TraceServiceServer::new(Collector(Arc::clone(&arrived)))
            .max_decoding_message_size(LARGEST);
        let told = end.clone();
        let thread = thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || {
                // At once when told: connections that stay open must not keep it.
                runtime.block_on(async {
                    tokio::select! {
                        _failed = serve(listener, service) => {}
                        () = told.cancelled() => {}
                    }
                });
            })
            .context("the receiver's thread")?;
        Ok(Self {
            address,
            arrived,
            end,
            thread: Some(thread),
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans that have come since the last check.
    pub(crate) fn count(&self) -> u64 {
        self.lock().spans.len() as u64
    }

    /// Checks all that came, and forgets it.
    pub(crate) fn verify(&self, spans_per_trace: usize) -> Verdict {
        let arrived = std::mem::take(&mut *self.lock());
        arrived.verify(spans_per_trace)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(
    listener: std::net::TcpListener,
    service: TraceServiceServer<Collector>,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let server = Server::builder().add_service(service);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(server.serve_with_incoming(incoming).await?)
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Arrived {
    fn add(&mut self, span: &Span) {
        let ids = (
            span.trace_id.as_slice().try_into(),
            span.span_id.as_slice().try_into(),
        );
        let sound = span.end_time_unix_nano >= span.start_time_unix_nano && !span.name.is_empty();
        match ids {
            (Ok(trace), Ok(id)) if sound && trace != [0; 16] && id != [0; 8] => {
                self.spans.push(Ids {
                    trace,
                    span: id,
                    parent: span.parent_span_id.as_slice().try_into().ok(),
                });
            }
            _ => self.malformed += 1,
        }
    }

    fn verify(&self, spans_per_trace: usize) -> Verdict {
        let mut traces: HashMap<[u8; 16], Vec<&Ids>> = HashMap::new();
        for span in &self.spans {
            traces.entry(span.trace).or_default().push(span);
        }
        let whole = traces
            .values()
            .filter(|spans| is_whole(spans, spans_per_trace))
            .count() as u64;
        Verdict {
            spans: self.spans.len() as u64,
            whole,
            broken: traces.len() as u64 - whole,
            malformed: self.malformed,
        }
    }
}

fn is_whole(spans: &[&Ids], expected: usize) -> bool {
    let roots = spans.iter().filter(|span| span.parent.is_none()).count();
    let joined = spans
        .iter()
        .filter_map(|span| span.parent)
        .all(|parent| spans.iter().any(|span| span.span == parent));
    spans.len() == expected && roots == 1 && joined
}

struct Collector(Arc<Mutex<Arrived>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in &request.get_ref().resource_spans {
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                arrived.add(span);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrived, Ids};

    fn span(trace: u8, span: u8, parent: Option<u8>) -> Ids {
        Ids {
            trace: [trace; 16],
            span: [span; 8],
            parent: parent.map(|parent| [parent; 8]),
        }
    }

    #[test]
    fn a_trace_is_whole_with_all_its_spans_joined_under_one_root() {
        let arrived = Arrived {
            spans: vec![
                span(1, 1, None),
                span(1, 2, Some(1)),
                span(2, 3, None), // its child is missing
                span(3, 4, None),
                span(3, 5, Some(9)), // its parent is unknown
                span(4, 6, None),
                span(4, 7, Some(6)),
                span(4, 8, Some(6)), // one too many
            ],
            malformed: 0,
        };
        let verdict = arrived.verify(2);
        assert_eq!((verdict.spans, verdict.whole, verdict.broken), (8, 1, 3));
    }
}
