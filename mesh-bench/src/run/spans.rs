//! Whether every span came, and what the proxy says of those that did not.

use std::{net::SocketAddr, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    contestants::{BackEnd, Dress, Running},
    receiver::Receiver,
};

/// How long after the load spans may come: Envoy sends the last after five seconds.
const LAST: Duration = Duration::from_secs(8);
/// Spans that a sidecar may hold for a back end that takes none: its queue of 2048
/// requests with two spans each, and a batch on its way.
const WAITING: u64 = 2048 * 2 + 1024;
/// A counter is on the page at once; a page may take a moment.
const PAGE: Duration = Duration::from_secs(5);

/// Account of the spans of one contestant.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SpanCount {
    /// Requests answered, each of which should be one trace where all are traced.
    pub(crate) requests: u64,
    /// Spans of a traced request.
    pub(crate) per_trace: usize,
    /// Spans that came.
    pub(crate) arrived: u64,
    /// Traces with all their spans, properly joined.
    pub(crate) whole_traces: u64,
    /// Traces with a span missing, or not joined.
    pub(crate) broken_traces: u64,
    /// Spans that no back end should take.
    pub(crate) malformed: u64,
    /// Spans that mesh-proxy says it exported, failed to export, dropped.
    pub(crate) own: Option<[u64; 3]>,
}

impl SpanCount {
    /// Where every request is traced: all spans have come, or the proxy has counted
    /// them as lost. A back end that takes none leaves some to be tried again.
    pub(crate) fn is_complete(&self, dress: &Dress) -> bool {
        let lost = self.own.map_or(0, |[_, failed, dropped]| failed + dropped);
        let sound = self.malformed == 0 && (lost > 0 || self.broken_traces == 0);
        let all_traced = dress.traces.is_some_and(|share| share >= 1.0);
        let missing = self.expected().checked_sub(self.arrived + lost);
        let waiting = if dress.back_end == BackEnd::Live {
            0
        } else {
            WAITING
        };
        sound && (!all_traced || missing.is_some_and(|missing| missing <= waiting))
    }

    fn expected(&self) -> u64 {
        self.requests * self.per_trace as u64
    }
}

/// None where nothing is traced.
pub(super) async fn check(dress: &Dress, running: &Running, answered: u64) -> Option<SpanCount> {
    let share = dress.traces.filter(|_| running.spans > 0)?;
    let mut count = SpanCount {
        requests: answered + running.probes,
        per_trace: running.spans,
        ..SpanCount::default()
    };
    if let Some(receiver) = &running.receiver {
        let wanted = if share >= 1.0 {
            count.expected()
        } else {
            u64::MAX
        };
        wait_for(wanted, receiver).await;
        let verdict = receiver.verify(running.spans);
        count.arrived = verdict.spans;
        count.whole_traces = verdict.whole;
        count.broken_traces = verdict.broken;
        count.malformed = verdict.malformed;
    }
    count.own = own(&running.metrics).await;
    Some(count)
}

/// Until so many spans are there, or no more come.
async fn wait_for(wanted: u64, receiver: &Receiver) {
    let (mut last, mut since) = (receiver.count(), Instant::now());
    while last < wanted && since.elapsed() < LAST {
        sleep(Duration::from_millis(100)).await;
        let count = receiver.count();
        if count != last {
            (last, since) = (count, Instant::now());
        }
    }
}

async fn own(pages: &[SocketAddr]) -> Option<[u64; 3]> {
    let mut sum = [0; 3];
    for &page in pages {
        let text = timeout(PAGE, page_of(page)).await.ok()?.ok()?;
        for (sum, result) in sum.iter_mut().zip(["exported", "failed", "dropped"]) {
            *sum += counter(&text, result);
        }
    }
    (!pages.is_empty()).then_some(sum)
}

async fn page_of(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

fn counter(page: &str, result: &str) -> u64 {
    let label = format!("result=\"{result}\"");
    page.lines()
        .filter(|line| line.starts_with("mesh_telemetry_spans_total{") && line.contains(&label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{BackEnd, Dress, SpanCount, counter};
    use crate::load::Protocol;

    #[test]
    fn counters_are_read_from_a_page() {
        let page = "# HELP x\nmesh_telemetry_spans_total{result=\"dropped\"} 7\n\
                    mesh_telemetry_spans_total{result=\"exported\"} 12\n";
        assert_eq!(counter(page, "exported"), 12);
        assert_eq!(counter(page, "failed"), 0);
    }

    #[test]
    fn a_span_may_be_missing_only_if_it_was_counted() {
        let mut count = SpanCount {
            requests: 10,
            per_trace: 2,
            arrived: 18,
            whole_traces: 9,
            own: Some([18, 0, 2]),
            ..SpanCount::default()
        };
        let mut dress = Dress::everything(Protocol::Http1, 1.0);
        assert!(count.is_complete(&dress));
        count.own = Some([18, 0, 0]);
        assert!(!count.is_complete(&dress));
        dress.back_end = BackEnd::Hanging; // tries again
        assert!(count.is_complete(&dress));
    }
}
