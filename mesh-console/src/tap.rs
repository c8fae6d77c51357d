//! Requests as they pass: the sidecars' spans of whole requests, told on to whoever
//! listens while they come in. Nobody listening costs one look.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::span::SpanKind};
use serde::Deserialize;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Duration, timeout},
};

use crate::{
    api::{TapDirection, TapLine, Tapped},
    hex,
    http::body::StrictQuery,
    names::{attribute, scope},
    shared::Shared,
    traces::{Received, SpanId, TraceId, faults, find},
};

/// Requests that wait for a slow listener; what is older is lost to it, and counted.
const WAITING: usize = 4_096;

/// Pause after which an empty line says that the console is there.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Who listens.
#[derive(Debug)]
pub(crate) struct Tap(broadcast::Sender<Arc<Tapped>>);

impl Default for Tap {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Tap {
    /// Tells of the requests among these spans.
    pub(crate) fn offer(&self, spans: &[Received]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let struck = struck_attempts(spans);
        for received in spans {
            let Some(mut request) = tapped(received) else {
                continue;
            };
            let id = (received.trace_id, received.span_id);
            request
                .faults
                .extend(struck.get(&id).into_iter().flatten().cloned());
            // An error says that the last listener went away just now.
            let _ = self.0.send(Arc::new(request));
        }
    }
}

/// Rules that struck attempts, by the request's span: a sidecar exports both together.
fn struck_attempts(spans: &[Received]) -> HashMap<(TraceId, SpanId), Vec<String>> {
    let mut found: HashMap<_, Vec<String>> = HashMap::new();
    let attempts = spans
        .iter()
        .filter(|one| is_sidecars(one) && one.span.kind() == SpanKind::Client);
    for attempt in attempts {
        let Some(parent) = attempt.parent else {
            continue;
        };
        for rule in faults(&attempt.span) {
            let rules = found.entry((attempt.trace_id, parent)).or_default();
            if !rules.iter().any(|known| **known == *rule) {
                rules.push(rule.to_string());
            }
        }
    }
    found
}

fn is_sidecars(received: &Received) -> bool {
    received.origin.scope == scope::SIDECAR
}

/// A span of a whole request at a sidecar; none: it is another one.
fn tapped(received: &Received) -> Option<Tapped> {
    if !is_sidecars(received) {
        return None;
    }
    let span = &received.span;
    let direction = match span.kind() {
        SpanKind::Server => TapDirection::Inbound,
        SpanKind::Internal => TapDirection::Outbound,
        _ => return None,
    };
    let text = |key| match find(&span.attributes, key) {
        Some(Value::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |key| match find(&span.attributes, key) {
        Some(Value::IntValue(number)) => Some(*number),
        _ => None,
    };
    let nanoseconds = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    Some(Tapped {
        at_ms: span.start_time_unix_nano / 1_000_000,
        direction,
        source: text(attribute::SOURCE)?,
        destination: text(attribute::DESTINATION)?,
        route: text(attribute::ROUTE).unwrap_or_default(),
        method: text(attribute::METHOD).unwrap_or_default(),
        path: text(attribute::PATH).unwrap_or_default(),
        status: number(attribute::STATUS).and_then(|status| u16::try_from(status).ok()),
        grpc_status: text(attribute::GRPC_STATUS),
        duration_ms: Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3,
        attempts: number(attribute::ATTEMPTS).and_then(|count| u32::try_from(count).ok()),
        reason: text(attribute::REASON),
        flags: text(attribute::FLAGS),
        faults: faults(span).iter().map(ToString::to_string).collect(),
        trace_id: hex::encode(&received.trace_id),
    })
}

#[derive(Deserialize)]
struct TapQuery {
    /// Service that sends or receives; none: the whole mesh.
    service: Option<String>,
    direction: Option<TapDirection>,
}

impl TapQuery {
    fn wants(&self, request: &Tapped) -> bool {
        let at = match request.direction {
            TapDirection::Inbound => &request.destination,
            TapDirection::Outbound => &request.source,
        };
        self.service.as_ref().is_none_or(|service| service == at)
            && self.direction.is_none_or(|one| one == request.direction)
    }
}

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/api/mesh/tap", get(listen))
}

/// One JSON document a line; an empty line is a heartbeat.
async fn listen(
    State(shared): State<Arc<Shared>>,
    StrictQuery(query): StrictQuery<TapQuery>,
) -> Response {
    let listener = Listener {
        requests: shared.tap.0.subscribe(),
        query,
        shared,
    };
    let lines = stream::unfold(listener, |mut listener| async move {
        let line = listener.next().await?;
        Some((Ok::<_, Infallible>(line), listener))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    response
}

struct Listener {
    requests: broadcast::Receiver<Arc<Tapped>>,
    query: TapQuery,
    shared: Arc<Shared>,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let received = tokio::select! {
                () = self.shared.shutdown.cancelled() => return None,
                received = timeout(HEARTBEAT, self.requests.recv()) => received,
            };
            match received {
                Err(_) => return Some(Bytes::from_static(b"\n")),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(lost))) => return line(&TapLine::Lost { lost }),
                Ok(Ok(request)) if self.query.wants(&request) => {
                    return line(&TapLine::Request(Box::new(Tapped::clone(&request))));
                }
                Ok(Ok(_)) => {}
            }
        }
    }
}

fn line(line: &TapLine) -> Option<Bytes> {
    let mut json = serde_json::to_vec(line).ok()?; // strings and numbers: always JSON
    json.push(b'\n');
    Some(json.into())
}
