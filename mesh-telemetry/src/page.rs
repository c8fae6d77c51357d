//! `/metrics` and `/health/*`.

mod format;
mod openmetrics;

use std::sync::LazyLock;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;

use crate::{Readiness, console, proxy};
use format::Format;

static PROCESS: LazyLock<Collector> = LazyLock::new(Collector::default);

/// The plain page, with the process's own figures as they are now.
pub(crate) fn render(page: &PrometheusHandle) -> String {
    PROCESS.collect();
    let mut text = page.render();
    proxy::render_breakers(&mut text);
    console::render(&mut text);
    text
}

/// The same as OpenMetrics text, with exemplars.
pub(crate) fn render_open(page: &PrometheusHandle) -> String {
    openmetrics::of(&render(page))
}

pub(crate) fn router(page: PrometheusHandle, ready: Readiness) -> Router {
    let health = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(readiness))
        .with_state(ready);
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(page)
        .merge(health)
}

/// Rendering thousands of series takes milliseconds: not on a worker of the runtime.
async fn metrics(State(page): State<PrometheusHandle>, headers: HeaderMap) -> Response {
    let format = Format::wanted(&headers);
    let rendering = tokio::task::spawn_blocking(move || match format {
        Format::Plain => render(&page),
        Format::OpenMetrics(_) => render_open(&page),
    });
    let described = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    match rendering.await {
        Ok(text) => (described, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readiness(State(ready): State<Readiness>) -> (StatusCode, &'static str) {
    if ready.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or draining\n",
        )
    }
}
