//! The page: built in, or from a folder while it is being made.

use std::{borrow::Cow, io, path::PathBuf, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};

use crate::{ConsoleError, hex, shared::Shared};

/// The folder `web`, as it was at build time.
#[derive(Embed)]
#[folder = "web/"]
struct Embedded;

/// Where the page's files come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// From the binary.
    BuiltIn,
    /// From a folder, read anew each time.
    Folder(PathBuf),
}

pub(super) fn router(source: Source) -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(index))
        // Links to single traces are the page's own to show.
        .route("/trace/{id}", get(index))
        .route("/favicon.svg", get(icon))
        .route("/assets/{*path}", get(asset))
        .layer(Extension(source))
}

async fn index(Extension(source): Extension<Source>, headers: HeaderMap) -> Response {
    source.serve("index.html", &headers).await
}

async fn icon(Extension(source): Extension<Source>, headers: HeaderMap) -> Response {
    source.serve("favicon.svg", &headers).await
}

async fn asset(
    Extension(source): Extension<Source>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    source.serve(&path, &headers).await
}

impl Source {
    async fn serve(&self, path: &str, headers: &HeaderMap) -> Response {
        let Some(file) = self.read(path).await else {
            return ConsoleError::NotFound(format!("the page has no file `{path}`"))
                .into_response();
        };
        let tag = file.tag.as_deref().unwrap_or("");
        let known = headers.get(header::IF_NONE_MATCH);
        let mut response = if !tag.is_empty() && known.is_some_and(|known| known == tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Body::from(file.bytes).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(content_type(path)),
        );
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(header::ETAG, tag);
        }
        // Kept, but asked for each time: a new binary brings a new page.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    async fn read(&self, path: &str) -> Option<File> {
        if !is_plain(path) {
            return None;
        }
        match self {
            Self::BuiltIn => Embedded::get(path).map(File::from),
            Self::Folder(root) => match tokio::fs::read(root.join(path)).await {
                Ok(bytes) => Some(File {
                    bytes: Cow::Owned(bytes),
                    tag: None,
                }),
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        tracing::warn!(path, %error, "asset not read");
                    }
                    None
                }
            },
        }
    }
}

struct File {
    bytes: Cow<'static, [u8]>,
    tag: Option<String>,
}

impl From<EmbeddedFile> for File {
    fn from(file: EmbeddedFile) -> Self {
        Self {
            tag: Some(tag_of(&file)),
            bytes: file.data,
        }
    }
}

/// `ETag` of a file that is built in.
pub(crate) fn tag_of(file: &EmbeddedFile) -> String {
    format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]))
}

/// A path inside the folder: no hidden files, no way up.
fn is_plain(path: &str) -> bool {
    !path.contains('\\')
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// By the end of the name.
pub(crate) fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in [
            "../Cargo.toml",
            "a/../../b",
            "/etc/passwd",
            ".git",
            "a//b",
            "a\\b",
            "",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        assert!(is_plain("vendor/htm-3.js"));
    }

    #[test]
    fn the_page_is_built_in() {
        assert!(Embedded::get("index.html").is_some());
    }
}
