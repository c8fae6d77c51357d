//! Jaeger's own page, over the console's query API.

use axum::{
    Router,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};

use crate::{
    ConsoleError,
    http::assets::{content_type, tag_of},
    shared::Shared,
};

/// The folder `jaeger-ui`, as it was at build time; its README says where it is from.
#[derive(Embed)]
#[folder = "jaeger-ui/"]
struct Embedded;

/// As of the console's own page, but for styles, which the page's components bring
/// along in `style` elements and attributes, and for WebAssembly, in which the layout of
/// its graphs is compiled.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
    connect-src 'self' data:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// The page at `/jaeger`; every path below that is none of its files is a view of it.
pub(super) fn router() -> Router<std::sync::Arc<Shared>> {
    Router::new()
        .route("/jaeger", get(page))
        .route("/jaeger/", get(page))
        .route("/jaeger/config.js", get(config))
        .route("/jaeger/static/{file}", get(file))
        .route("/jaeger/{*view}", get(page))
}

async fn page(headers: HeaderMap) -> Response {
    let mut response = serve("index.html", &headers);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    response
}

async fn config(headers: HeaderMap) -> Response {
    serve("config.js", &headers)
}

async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    serve(&format!("static/{file}"), &headers)
}

fn serve(path: &str, asked: &HeaderMap) -> Response {
    if let Some(file) = Embedded::get(path) {
        return answer(file, path, asked, None);
    }
    match Embedded::get(&format!("{path}.gz")) {
        Some(file) => answer(file, path, asked, Some("gzip")),
        None => {
            ConsoleError::NotFound(format!("Jaeger's page has no file `{path}`")).into_response()
        }
    }
}

fn answer(
    file: EmbeddedFile,
    path: &str,
    asked: &HeaderMap,
    encoding: Option<&'static str>,
) -> Response {
    let tag = tag_of(&file);
    let known = asked.get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|known| known == tag.as_str()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.data).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(path)),
    );
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
