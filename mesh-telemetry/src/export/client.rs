//! The gRPC call to the collector, and its repetition.

use std::{error::Error as _, fmt::Write as _, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tokio::time::{Instant, sleep};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use super::ExportSettings;
use crate::TelemetryError;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const USER_AGENT: &str = concat!("mesh-telemetry/", env!("CARGO_PKG_VERSION"));
/// Repetitions of one export, and the pauses before them: doubled each time, with as
/// much chance added. They are those of the OpenTelemetry SDK.
const RETRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1600);
const JITTER: Duration = Duration::from_millis(100);
/// Longest that a collector can make us wait by asking for it.
const LONGEST_THROTTLE: Duration = Duration::from_secs(30);

/// Connects when it is first used, and again when the connection is gone.
#[derive(Debug)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
    headers: MetadataMap,
    /// Longest for one try, and for the beginning of repetitions.
    timeout: Duration,
}

impl Client {
    /// Made inside the runtime that will drive it, as tonic demands.
    pub(super) fn new(settings: &ExportSettings) -> Result<Self, TelemetryError> {
        let refused = |cause: String| TelemetryError::Exporter {
            endpoint: settings.endpoint.clone(),
            cause,
        };
        let endpoint = Endpoint::from_shared(settings.endpoint.clone())
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(|error| refused(with_causes(&error)))?;
        if endpoint.uri().scheme_str() != Some("http") {
            let cause =
                "TLS to the collector is not built in; use `http://`, over loopback or a mesh";
            return Err(refused(cause.to_owned()));
        }
        let channel = endpoint.timeout(settings.try_timeout).connect_lazy();
        Ok(Self {
            grpc: Grpc::new(channel),
            headers: MetadataMap::from_headers(settings.headers.clone()),
            timeout: settings.try_timeout,
        })
    }

    /// Sends a request to export, again where the protocol allows it; the error is for
    /// the log.
    pub(super) async fn export(&mut self, request: Bytes) -> Result<(), String> {
        let started = Instant::now();
        let mut pauses = Pauses::default();
        loop {
            let status = match self.call(request.clone()).await {
                Ok(()) => return Ok(()),
                Err(status) => status,
            };
            let pause = pauses.after(&status);
            let left = self.timeout.saturating_sub(started.elapsed());
            match pause.filter(|pause| *pause < left) {
                Some(pause) => sleep(pause).await,
                None => return Err(describe(&status)),
            }
        }
    }

    async fn call(&mut self, request: Bytes) -> Result<(), Status> {
        self.grpc
            .ready()
            .await
            .map_err(|error| Status::unavailable(with_causes(&error)))?;
        let mut request = Request::new(request);
        *request.metadata_mut() = self.headers.clone();
        let path = PathAndQuery::from_static(EXPORT);
        self.grpc.unary(request, path, AsTheyAre).await?;
        Ok(())
    }
}

/// The pauses between the tries of one export.
struct Pauses {
    made: u32,
    next: Duration,
    longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            made: 0,
            next: FIRST_PAUSE,
            longest: LONGEST_PAUSE,
        }
    }
}

impl Pauses {
    /// How long to wait before the next try; none: there is to be none.
    fn after(&mut self, status: &Status) -> Option<Duration> {
        let asked = retry_after(status)?;
        if self.made == RETRIES {
            return None;
        }
        self.made += 1;
        let asked = asked.min(LONGEST_THROTTLE);
        if asked > self.longest {
            self.longest = LONGEST_THROTTLE;
        }
        self.next = self.next.max(asked);
        let pause = (self.next + jitter()).min(self.longest);
        self.next = (self.next * 2).min(self.longest);
        Some(pause)
    }
}

/// Whether the protocol lets us repeat a call that ended so, and after how long the
/// collector asks us to; none: not at all.
fn retry_after(status: &Status) -> Option<Duration> {
    let asked = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    match status.code() {
        Code::ResourceExhausted => asked, // only if it says when it will have recovered
        Code::Unavailable => Some(asked.unwrap_or_default()),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss => Some(Duration::ZERO),
        _ => None,
    }
}

fn jitter() -> Duration {
    let chance = uuid::Uuid::new_v4().as_u128() % (JITTER.as_millis() + 1);
    Duration::from_millis(u64::try_from(chance).unwrap_or_default())
}

/// Code and causes; not the collector's own words, which could hold anything.
fn describe(status: &Status) -> String {
    let causes = status.source().map(with_causes).unwrap_or_default();
    let colon = if causes.is_empty() { "" } else { ": " };
    format!("gRPC code {:?}{colon}{causes}", status.code())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}"); // a `String` takes everything
        cause = error.source();
    }
    text
}

/// Requests are encoded already; of answers only the status counts.
#[derive(Clone, Copy, Debug)]
struct AsTheyAre;

impl Codec for AsTheyAre {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, request: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(request.len());
        to.put(request);
        Ok(())
    }
}

impl Decoder for AsTheyAre {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, answer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        answer.advance(answer.remaining());
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests;
