//! The wire: what belongs to one hop stays here, the rest goes on as it came.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        CONNECTION, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
        UPGRADE,
    },
};
use mesh_telemetry::proxy::{AttemptEvent, Direction};
use tokio::time::Instant;

use crate::{
    body::{Request, Response},
    call::Attempt,
    client::{self, Manner, Upstream},
    error::ProxyError,
    names,
    shared::Shared,
};

/// Innermost service: there is nothing below it.
#[derive(Clone)]
pub(crate) struct Forward(Arc<Hop>);

struct Hop {
    worker: usize,
    /// What goes out as `x-mesh-source`; inbound, what came in stays.
    source: Option<HeaderValue>,
}

impl Forward {
    pub(crate) fn new(shared: &Shared, direction: Direction, worker: usize) -> Self {
        let source = match direction {
            Direction::Outbound => Some(names::value(&shared.policy.owner().service)),
            Direction::Inbound => None,
        };
        Self(Arc::new(Hop { worker, source }))
    }
}

impl tower::Service<Attempt> for Forward {
    type Response = Response;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ProxyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let hop = Arc::clone(&self.0);
        Box::pin(async move {
            hop.prepare(&mut attempt);
            let manner = hop.manner(&mut attempt.request);
            let upstream = Upstream::new(attempt.endpoint, hop.worker);
            if let Some(secured) = upstream.secured() {
                attempt.scope.emit(AttemptEvent::Secured(secured));
            }
            let mut response = client::send(&upstream, attempt.request, manner).await?;
            strip_hop_headers(response.headers_mut());
            *response.version_mut() = Version::HTTP_11;
            Ok(response)
        })
    }
}

impl Hop {
    /// What the caller spoke: inbound, the first one's sidecar may know better.
    fn manner(&self, request: &mut Request) -> Manner {
        let said = request.headers_mut().remove(names::PROTOCOL);
        let carried = self.source.is_none() && said.is_some_and(|said| said == names::HTTP1);
        let spoken = if carried {
            Version::HTTP_11
        } else {
            request.version()
        };
        let upgrade = false;
        Manner { spoken, upgrade }
    }

    fn prepare(&self, attempt: &mut Attempt) {
        let request = &mut attempt.request;
        strip_hop_headers(request.headers_mut());
        let headers = request.headers_mut();
        // Answered by this sidecar as soon as the body is read.
        headers.remove(EXPECT);
        if let Some(deadline) = attempt.deadline {
            headers.insert(names::DEADLINE_MS, milliseconds_until(deadline));
        }
        headers.remove(names::ATTEMPT);
        if let Some(source) = &self.source {
            headers.insert(names::SOURCE, source.clone());
            if attempt.number > 1 {
                headers.insert(names::ATTEMPT, attempt.number.into());
            }
        }
    }
}

fn milliseconds_until(deadline: Instant) -> HeaderValue {
    let left = deadline
        .saturating_duration_since(Instant::now())
        .as_millis();
    u64::try_from(left).unwrap_or(u64::MAX).into()
}

/// Headers that speak about one connection (RFC 9110, 7.6.1). `TE: trailers` may
/// go on: trailers do.
fn strip_hop_headers(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    let trailers_welcome = headers
        .get_all(TE)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("trailers")));
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    if trailers_welcome {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| name != TE && name != HOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::strip_hop_headers;

    #[test]
    fn headers_of_one_hop_and_those_that_connection_names_are_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers, gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
            ("content-type", "text/plain"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_headers(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            ["content-type: text/plain", "te: trailers", "trailer: x-sum"]
        );
    }
}
