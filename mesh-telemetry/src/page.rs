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

use crate::{Readiness, catalog};

/// What Prometheus expects of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

static PROCESS: LazyLock<Collector> = LazyLock::new(Collector::default);

/// The page, with the process's own figures as they are now.
pub(crate) fn render(page: &PrometheusHandle) -> String {
    PROCESS.collect();
    without_the_gone(&page.render())
}

/// The recorder forgets no series; the breaker of an endpoint that is gone is set to
/// NaN instead, and left out here.
fn without_the_gone(text: &str) -> String {
    let gone =
        |line: &&str| line.starts_with(catalog::BREAKER_STATE.name) && line.ends_with(" NaN");
    let mut page = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if !gone(&line.trim_end()) {
            page.push_str(line);
        }
    }
    page
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

#[cfg(test)]
mod tests {
    use super::without_the_gone;

    #[test]
    fn the_breaker_of_an_endpoint_that_is_gone_has_no_series() {
        let page = "\
# TYPE mesh_breaker_state gauge
mesh_breaker_state{destination=\"a\",endpoint=\"x:1\"} 0
mesh_breaker_state{destination=\"a\",endpoint=\"y:1\"} NaN
mesh_certificate_expiry_timestamp_seconds{direction=\"inbound\"} NaN
";
        let left: Vec<String> = without_the_gone(page).lines().map(str::to_owned).collect();
        assert_eq!(left.len(), 3, "{left:#?}");
        assert!(!left.iter().any(|line| line.contains("y:1")));
    }
}
