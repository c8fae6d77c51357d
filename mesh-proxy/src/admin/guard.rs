//! Keeps web pages in a browser on this machine from using the admin API.

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header::HOST},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

const SWITCH: &str = "x-glassmesh";

pub(super) async fn check(request: Request, next: Next) -> Response {
    if !is_local(request.headers()) {
        return refuse(
            "foreign_host",
            "the Host header must be localhost or an IP address",
        );
    }
    if request.method() != Method::GET && !request.headers().contains_key(SWITCH) {
        return refuse(
            "missing_header",
            "whatever changes something needs the header `x-glassmesh: 1`",
        );
    }
    next.run(request).await
}

/// A name that somebody else's DNS can point here is not accepted.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

fn refuse(code: &str, message: &str) -> Response {
    let body = Json(json!({ "code": code, "message": message }));
    (StatusCode::FORBIDDEN, body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::HOST};

    use super::is_local;

    #[test]
    fn only_this_machine_and_addresses_are_hosts() {
        for (host, wanted) in [
            ("localhost:14153", true),
            ("127.0.0.1:14153", true),
            ("[::1]:14153", true),
            ("10.0.0.7", true),
            ("evil.example:14153", false),
            ("localhost.evil.example", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_local(&headers), wanted, "{host}");
        }
    }
}
