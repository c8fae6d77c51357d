//! SERVER spans and durations for an axum router.

use std::{
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use axum::{body::Body, extract::MatchedPath};
use bytes::Bytes;
use http::{Method, Request, Response, Version, header};
use http_body::Frame;
use opentelemetry::trace::Status;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    current::Incoming,
    timed::{Timed, sampled},
};
use crate::{catalog, proxy::method_label, register::Kept};

/// For `axum::Router::layer`: a SERVER span `{method} {route}` and the duration of
/// every request, to the end of the body.
#[must_use]
pub fn server_layer() -> ServerLayer {
    ServerLayer { _private: () }
}

/// See [`server_layer`].
#[derive(Clone, Debug)]
pub struct ServerLayer {
    _private: (),
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService { inner }
    }
}

/// See [`server_layer`].
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
}

/// Boxed: services are the example of the ordinary way, not the hot path.
pub type ServerFuture<E> =
    Pin<Box<dyn Future<Output = Result<Response<ServerBody>, E>> + Send + 'static>>;

impl<S> Service<Request<Body>> for ServerService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<ServerBody>;
    type Error = S::Error;
    type Future = ServerFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let incoming = Incoming::of(request.headers());
        let mut watch = Watch::begin(&request, &incoming);
        let span = watch.span.clone();
        let future = self.inner.call(request);
        Box::pin(async move {
            let response = incoming.scope(future).instrument(span).await?;
            watch.status = Some(response.status().as_u16());
            Ok(response.map(|inner| ServerBody {
                inner,
                watch: Some(watch),
            }))
        })
    }
}

/// A request under way; counted when its body ends, or when it is dropped.
#[derive(Debug)]
struct Watch {
    started: Instant,
    method: &'static str,
    head_only: bool,
    route: String,
    span: Span,
    status: Option<u16>,
    complete: bool,
}

type Labels = (&'static str, String, Option<u16>, bool);
static DURATIONS: LazyLock<Kept<Labels, Timed>> = LazyLock::new(Kept::default);

impl Watch {
    fn begin(request: &Request<Body>, incoming: &Incoming) -> Self {
        let method = method_label(request.method());
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or_else(String::new, |route| route.as_str().to_owned());
        let span = span(request, method, &route);
        incoming.adopt(&span);
        Self {
            started: Instant::now(),
            method,
            head_only: request.method() == Method::HEAD,
            route,
            span,
            status: None,
            complete: false,
        }
    }

    /// The status as an error from 500 on; a caller that went away is counted as
    /// `cancelled`, but is no error of this service.
    fn error(&self) -> Option<String> {
        self.status
            .filter(|status| *status >= 500)
            .map(|status| status.to_string())
    }

    fn count(&mut self) {
        let cancelled = !self.complete;
        let route = std::mem::take(&mut self.route);
        let labels = (self.method, route, self.status, cancelled);
        let timed = DURATIONS.get(labels.clone(), || {
            let status = self
                .status
                .map_or_else(String::new, |status| status.to_string());
            let cancelled = cancelled.then(|| "cancelled".to_owned());
            let error = self.error().or(cancelled).unwrap_or_default();
            Timed::new(
                &catalog::HTTP_SERVER_DURATION,
                &[self.method, &labels.1, &status, &error],
            )
        });
        timed.record(self.started, sampled(&self.span).as_ref());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(status) = self.status {
            self.span
                .set_attribute("http.response.status_code", i64::from(status));
        }
        if let Some(error) = self.error() {
            self.span.set_attribute("error.type", error);
            self.span.set_status(Status::error(""));
        }
        self.count();
    }
}

fn span(request: &Request<Body>, method: &'static str, route: &str) -> Span {
    let name = match (method, route) {
        ("_OTHER", _) => "HTTP".to_owned(), // as the semantic conventions say
        (method, "") => method.to_owned(),
        (method, route) => format!("{method} {route}"),
    };
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    tracing::info_span!(
        "server",
        otel.name = name,
        otel.kind = "server",
        http.request.method = method,
        http.route = (!route.is_empty()).then_some(route),
        url.scheme = request.uri().scheme_str().unwrap_or("http"),
        url.path = request.uri().path(),
        server.address = header(header::HOST),
        user_agent.original = header(header::USER_AGENT),
        network.protocol.version = version(request.version()),
    )
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// The answer's body; the request ends with it.
#[derive(Debug)]
pub struct ServerBody {
    inner: Body,
    watch: Option<Watch>,
}

impl ServerBody {
    fn end(&mut self, complete: bool) {
        if let Some(mut watch) = self.watch.take() {
            watch.complete = complete || watch.head_only;
        }
    }
}

impl http_body::Body for ServerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match &frame {
            Poll::Ready(None) => self.end(true),
            Poll::Ready(Some(Err(_))) => self.end(false),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ServerBody {
    /// Who reads a body by its length never polls it to the very end.
    fn drop(&mut self) {
        let complete = http_body::Body::is_end_stream(&self.inner);
        self.end(complete);
    }
}
