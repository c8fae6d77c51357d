//! `/metrics` and `/health/*`.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;

use crate::{Readiness, proxy};

/// What Prometheus expects of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

static PROCESS: LazyLock<Collector> = LazyLock::new(Collector::default);

/// The page, with the process's own figures as they are now.
pub(crate) fn render(page: &PrometheusHandle) -> String {
    PROCESS.collect();
    let mut text = page.render();
    proxy::render_breakers(&mut text);
    text
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
async fn metrics(State(page): State<PrometheusHandle>) -> Response {
    match tokio::task::spawn_blocking(move || render(&page)).await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
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
