//! What every service's router has beside its own routes.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use http::{StatusCode, header};
use utoipa_axum::router::OpenApiRouter;

use crate::deadline;
use crate::error::error_response;
use crate::extract::MAX_BODY;
use crate::slowness;

/// Completes a service: its description at `/openapi.json`, JSON answers for
/// unknown paths and wrong methods, the body limit, the caller's
/// deadline, slow queries where a fault asks for them, and telemetry around all.
pub fn complete<S>(service: OpenApiRouter<S>, state: S) -> Router
where
    S: Clone + Send + Sync + 'static,
{
    let (router, api) = service.split_for_parts();
    // Rendered once: it never changes while the process runs.
    let description = api.to_json().unwrap_or_default();
    let described = router.route(
        "/openapi.json",
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) }),
    );
    finish(described.with_state(state))
}

/// The same for a router without a description of its own.
pub fn finish(router: Router) -> Router {
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(slowness::adopt))
        .layer(from_fn(deadline::adopt))
        .layer(mesh_telemetry::service::server_layer())
}

async fn unknown_path(request: Request) -> Response {
    let message = format!("there is nothing at {}", request.uri().path());
    error_response(StatusCode::NOT_FOUND, "not_found", message)
}

/// axum adds the `Allow` header to whatever this answers.
async fn wrong_method(request: Request) -> Response {
    let message = format!(
        "{} is not possible at {}; see the Allow header",
        request.method(),
        request.uri().path()
    );
    error_response(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}
