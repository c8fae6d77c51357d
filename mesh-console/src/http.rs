//! The console's port: page, API and control, each behind its own guard.

pub(crate) mod assets;
pub(crate) mod body;
mod events;
mod guard;
mod mesh;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, OriginalUri},
    middleware,
    response::Response,
};
use http::Method;

use crate::{ConsoleError, control, jaeger, shared::Shared, tap};
pub(crate) use guard::Guard;

/// Everything on the console's port but health and metrics.
pub(crate) fn router(shared: Arc<Shared>, guard: Guard, assets: assets::Source) -> Router {
    let guard = Arc::new(guard);
    let page = Router::new()
        .merge(mesh::router())
        .merge(tap::router())
        .merge(jaeger::router())
        .merge(assets::router(assets))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(guard, guard::browser));
    control::router()
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(guard::sidecar))
        .merge(page)
        .layer(DefaultBodyLimit::max(body::LARGEST_BODY))
        .layer(middleware::map_response(harden))
        .with_state(shared)
}

pub(crate) use assets::Source as Assets;

async fn nothing_here(OriginalUri(uri): OriginalUri) -> ConsoleError {
    ConsoleError::NotFound(format!(
        "there is nothing at {}; the page is at /, the API at /api/mesh/overview",
        uri.path()
    ))
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> ConsoleError {
    ConsoleError::WrongMethod(format!(
        "{method} is not for {}; see the header `allow`",
        uri.path()
    ))
}

async fn harden(mut response: Response) -> Response {
    guard::harden(response.headers_mut());
    response
}
