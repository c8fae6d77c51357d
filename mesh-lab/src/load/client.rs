//! HTTP client of the generator: keep-alive connections, a bound on time and size.

use std::{error::Error as _, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Largest answer that is read; the shop's are far below.
const MOST_BYTES: usize = 4 << 20;

/// A pooled client; clones share the pool.
#[derive(Clone)]
pub(super) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer: a short code for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Refused,
    Connect,
    Timeout,
    Broken,
}

impl Failure {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Connect => "connect failed",
            Self::Timeout => "timeout",
            Self::Broken => "connection broken",
        }
    }
}

impl Client {
    pub(super) fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { http, timeout }
    }

    /// Sends and reads to the last byte.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = self.http.request(request).await.map_err(|e| failure(&e))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|_| Failure::Broken)?.to_bytes(),
        })
    }
}

fn failure(error: &legacy::Error) -> Failure {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let refused = inner
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        if refused {
            return Failure::Refused;
        }
        cause = inner.source();
    }
    if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Broken
    }
}
