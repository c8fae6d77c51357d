//! Who may ask, and what a browser is told.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::support::{Running, config, nowhere, read, registration, start, start_with, uri};

const HALT: &str = "/api/mesh/chaos/halt";

/// A request with these headers in place of the usual ones.
async fn ask(
    console: &Running,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(uri(console.at.page, path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = console.send(request.body(Full::from("{}")).unwrap()).await;
    let (status, body) = read(response).await;
    (status, body.to_string())
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_with_the_way_out() {
    let console = start().await;
    for host in [
        "evil.example",
        "evil.example:4090",
        "127.0.0.1.evil.example",
        "[::2]",
    ] {
        let (status, body) = ask(&console, "GET", "/api/mesh/overview", &[("host", host)]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host}");
        assert!(body.contains("--allow-host"), "{body}");
    }
    for host in ["localhost", "LOCALHOST:4090", "127.0.0.1:1", "[::1]:4090"] {
        let (status, _) = ask(&console, "GET", "/api/mesh/overview", &[("host", host)]).await;
        assert_eq!(status, StatusCode::OK, "{host}");
    }
    console.stop().await;
}

#[tokio::test]
async fn a_configured_name_is_ours() {
    let mut settings = config();
    settings.allow_hosts = vec!["Mesh.Example".to_owned()];
    let console = start_with(settings).await;
    let (status, _) = ask(&console, "GET", "/", &[("host", "mesh.example:4090")]).await;
    assert_eq!(status, StatusCode::OK);
    console.stop().await;
}

#[tokio::test]
async fn a_write_without_our_header_or_from_another_page_is_refused() {
    let console = start().await;
    let json = ("content-type", "application/json");
    let ours = ("x-glassmesh", "1");
    let host = ("host", "localhost:4090");
    for headers in [
        vec![host, json],
        vec![host, json, ("x-glassmesh", "0")],
        vec![host, json, ours, ("origin", "http://evil.example")],
        vec![host, json, ours, ("origin", "http://localhost:4080")],
        vec![host, json, ours, ("origin", "null")],
    ] {
        let (status, body) = ask(&console, "POST", HALT, &headers).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?} {body}");
    }
    let (status, _) = ask(
        &console,
        "POST",
        HALT,
        &[host, ours, ("content-type", "text/plain")],
    )
    .await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, _) = ask(
        &console,
        "POST",
        HALT,
        &[host, json, ours, ("origin", "http://localhost:4090")],
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    console.stop().await;
}

#[tokio::test]
async fn browsers_cannot_speak_for_sidecars() {
    let console = start().await;
    let body = registration("back", "back-1", nowhere()).to_string();
    for mark in ["origin", "sec-fetch-site"] {
        let request = Request::post(uri(console.at.page, "/control/v1/subscribe"))
            .header("content-type", "application/json")
            .header(mark, "same-origin")
            .body(Full::from(body.clone()));
        let response = console.send(request.unwrap()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
    console.stop().await;
}

#[tokio::test]
async fn the_page_comes_with_strict_headers_and_a_tag() {
    let console = start().await;
    let page = |tag: Option<&str>| {
        let request = Request::get(uri(console.at.page, "/"));
        let request = match tag {
            Some(tag) => request.header("if-none-match", tag),
            None => request,
        };
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let response = console.send(page(None)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"<!doctype html>") || body.starts_with(b"<!DOCTYPE html>"));
    let again = console.send(page(headers["etag"].to_str().ok())).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    console.stop().await;
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let console = start().await;
    for path in [
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/none.js",
        "/none",
    ] {
        let (status, body) = console.get(path).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found")),
            "{path}"
        );
    }
    let (status, body) = ask(&console, "GET", HALT, &[("host", "localhost")]).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains("wrong_method"));
    console.stop().await;
}

#[tokio::test]
async fn a_folder_can_stand_in_for_the_built_in_page() {
    let folder = crate::support::Folder::new();
    std::fs::create_dir_all(folder.0.join("ui")).unwrap();
    std::fs::write(folder.0.join("ui/x.js"), "1").unwrap();
    let mut settings = config();
    settings.web_root = Some(folder.0.clone());
    let console = start_with(settings).await;
    let (status, body) = console.get("/assets/ui/x.js").await;
    assert_eq!((status, body), (StatusCode::OK, json!(1)));
    let (status, _) = console.get("/").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "the folder has no page");
    console.stop().await;
}

#[tokio::test]
async fn activity_is_taken_in_and_bounded() {
    let console = start().await;
    let entry = json!({ "kind": "process", "text": "back-2 was restarted (killed by signal 9)" });
    let (status, made) = console.post("/api/mesh/activity", entry).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(made["at_ms"].as_u64().unwrap() > 0);
    for bad in [
        json!({ "kind": "gossip", "text": "x" }),
        json!({ "kind": "process", "text": " " }),
        json!({ "kind": "process", "text": "x".repeat(10_000) }),
    ] {
        assert_eq!(
            console.post("/api/mesh/activity", bad).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    for _ in 0..300 {
        console
            .post(
                "/api/mesh/activity",
                json!({ "kind": "process", "text": "again" }),
            )
            .await;
    }
    let (_, list) = console.get("/api/mesh/activity").await;
    assert_eq!(list.as_array().unwrap().len(), 200);
    console.stop().await;
}
