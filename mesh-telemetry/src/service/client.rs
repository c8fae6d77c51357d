//! CLIENT spans and durations for calls to peers.

use std::{borrow::Cow, sync::LazyLock};

use http::{Request, Response, Uri};
use opentelemetry::trace::Status;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    current, error_type,
    timed::{Timed, sampled},
};
use crate::{catalog, proxy::method_label, register::Kept};

/// Calls a peer under a CLIENT span `{method}`, which lasts to the head of the
/// answer; the request carries its context. `peer` comes from configuration.
pub async fn client_call<B, R, E, F, Fut>(
    peer: &str,
    mut request: Request<B>,
    send: F,
) -> Result<Response<R>, E>
where
    F: FnOnce(Request<B>) -> Fut,
    Fut: Future<Output = Result<Response<R>, E>>,
{
    let mut watch = Watch::begin(peer, &request);
    current::inject(&watch.span, request.headers_mut());
    let span = watch.span.clone();
    let result = async { send(request).await }.instrument(span).await;
    watch.outcome = match &result {
        Ok(response) => Outcome::Status(response.status().as_u16()),
        Err(_) => Outcome::Error(error_type::<E>()),
    };
    result
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Status(u16),
    Error(&'static str),
    /// The future was dropped.
    Cancelled,
}

type Labels = (&'static str, String, Outcome);
static DURATIONS: LazyLock<Kept<Labels, Timed>> = LazyLock::new(Kept::default);

/// A call under way; counted when it is dropped.
struct Watch<'a> {
    started: Instant,
    method: &'static str,
    peer: &'a str,
    span: Span,
    outcome: Outcome,
}

impl<'a> Watch<'a> {
    fn begin<B>(peer: &'a str, request: &Request<B>) -> Self {
        let method = method_label(request.method());
        Self {
            started: Instant::now(),
            method,
            peer,
            span: span(method, peer, request.uri()),
            outcome: Outcome::Cancelled,
        }
    }

    /// A status is an error from 400 on.
    fn error(&self) -> Option<Cow<'static, str>> {
        match self.outcome {
            Outcome::Status(status) => (status >= 400).then(|| status.to_string().into()),
            Outcome::Error(error) => Some(error.into()),
            Outcome::Cancelled => None,
        }
    }

    fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Status(status) => Some(status),
            Outcome::Error(_) | Outcome::Cancelled => None,
        }
    }

    fn count(&self) {
        let labels = (self.method, self.peer.to_owned(), self.outcome);
        let timed = DURATIONS.get(labels, || {
            let status = self
                .status()
                .map_or_else(String::new, |status| status.to_string());
            let cancelled = (self.outcome == Outcome::Cancelled).then(|| "cancelled".into());
            let error = self.error().or(cancelled).unwrap_or_default();
            Timed::new(
                &catalog::HTTP_CLIENT_DURATION,
                &[self.method, self.peer, &status, &error],
            )
        });
        timed.record(self.started, sampled(&self.span).as_ref());
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(status) = self.status() {
            self.span
                .set_attribute("http.response.status_code", i64::from(status));
        }
        if let Some(error) = self.error() {
            self.span.set_attribute("error.type", error.into_owned());
            self.span.set_status(Status::error(""));
        }
        self.count();
    }
}

fn span(method: &'static str, peer: &str, uri: &Uri) -> Span {
    let name = if method == "_OTHER" { "HTTP" } else { method };
    let url = match uri.authority() {
        Some(authority) => format!("http://{authority}{}", uri.path()),
        None => format!("http://{peer}{}", uri.path()),
    };
    tracing::info_span!(
        "client",
        otel.name = name,
        otel.kind = "client",
        http.request.method = method,
        url.full = url, // without the query: it may hold what is nobody's business
        server.address = peer,
        server.port = uri.port_u16().unwrap_or(80),
        service.peer.name = peer,
    )
}
