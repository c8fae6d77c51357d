//! Jaeger's own page, and the API that it asks.

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::support::{Running, start, uri};

async fn ask(console: &Running, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(uri(console.at.page, path)).body(Full::default());
    let response = console.send(request.unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, body.to_vec())
}

#[tokio::test]
async fn every_view_of_jaegers_page_is_the_page() {
    let console = start().await;
    for path in [
        "/jaeger",
        "/jaeger/",
        "/jaeger/search?service=orders",
        "/jaeger/trace/4bf92f3577b34da6a3ce929d0e0e4736",
        "/jaeger/dependencies",
    ] {
        let (status, headers, body) = ask(&console, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let page = String::from_utf8(body).unwrap();
        assert!(page.contains(r#"<base href="/jaeger/">"#), "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self' 'wasm-unsafe-eval';"),
            "no script from elsewhere: {policy}"
        );
    }
    console.stop().await;
}

#[tokio::test]
async fn every_file_that_jaegers_page_names_is_there() {
    let console = start().await;
    let (_, _, page) = ask(&console, "/jaeger").await;
    let page = String::from_utf8(page).unwrap();
    let names: Vec<&str> = page
        .split('"')
        .filter_map(|text| text.strip_prefix("./"))
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let (status, headers, body) = ask(&console, &format!("/jaeger/{name}")).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        let compressed = headers.get(header::CONTENT_ENCODING).is_some();
        assert_eq!(compressed, body.starts_with(&[0x1f, 0x8b]), "{name}");
    }
    let (status, ..) = ask(&console, "/jaeger/static/nothing.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    console.stop().await;
}

#[tokio::test]
async fn the_query_api_answers_under_the_pages_path_too() {
    let console = start().await;
    for path in ["/api/services", "/api/dependencies"] {
        let (_, _, here) = ask(&console, path).await;
        let (status, _, there) = ask(&console, &format!("/jaeger{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(here, there, "{path}");
    }
    let (status, headers, body) = ask(&console, "/jaeger/api/metrics/latencies").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "not the page");
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert!(String::from_utf8(body).unwrap().contains("does not serve"));
    console.stop().await;
}
