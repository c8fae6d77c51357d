//! The page that shows the API and lets one try it. Its three files are part
//! of the program: it works without any network.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header;

/// Nothing but what this server itself serves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The page and its parts.
pub(crate) fn routes() -> Router {
    Router::new()
        .route(
            "/docs",
            get(|| asset("text/html", include_str!("../assets/docs.html"))),
        )
        .route(
            "/docs/docs.js",
            get(|| asset("text/javascript", include_str!("../assets/docs.js"))),
        )
        .route(
            "/docs/docs.css",
            get(|| asset("text/css", include_str!("../assets/docs.css"))),
        )
}

#[expect(clippy::unused_async, reason = "a handler is a function to a future")]
async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text)
}
