//! Who may ask: the console can break things, and every page in the user's
//! browser can send requests to it.
//!
//! A page of a stranger is kept out three times: its `Host` is a name that is
//! not ours (so that a name rebound to loopback does not help), its `Origin` is
//! not ours, and it cannot send our header without being asked first.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::Authority};

use crate::ConsoleError;

/// Header of every write: a stranger's page cannot set it unasked.
const WRITE_HEADER: &str = "x-glassmesh";

/// Only what the console itself serves; scripts and styles from files alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Names under which the console may be asked, beside loopback.
pub(crate) struct Guard {
    names: Vec<String>,
}

impl Guard {
    pub(crate) fn new(names: &[String]) -> Self {
        Self {
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    fn check(&self, request: &Request) -> Result<(), ConsoleError> {
        let host = host(request.headers(), request.uri()).ok_or_else(|| {
            ConsoleError::Forbidden("the request has no sound `host` header".to_owned())
        })?;
        if !self.knows(host.host()) {
            return Err(ConsoleError::Forbidden(format!(
                "`{}` is no name of this console; use localhost, or start it with --allow-host {}",
                host.host(),
                host.host()
            )));
        }
        check_origin(request.headers(), &host)?;
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        check_write(request.headers())
    }

    fn knows(&self, name: &str) -> bool {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.to_ascii_lowercase();
        name == "localhost"
            || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || self.names.contains(&name)
    }
}

/// Guard of the page and the API.
pub(super) async fn browser(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Guard of the control protocol: sidecars ask under any name, browsers never.
pub(super) async fn sidecar(request: Request, next: Next) -> Response {
    let marks = [header::ORIGIN, HeaderName::from_static("sec-fetch-site")];
    if marks
        .iter()
        .any(|mark| request.headers().contains_key(mark))
    {
        let text = "the control protocol is for sidecars, not for pages";
        return ConsoleError::Forbidden(text.to_owned()).into_response();
    }
    next.run(request).await
}

/// Headers that keep a browser from doing more with an answer than is meant.
pub(super) fn harden(headers: &mut HeaderMap) {
    // Jaeger's page has one of its own.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    // The numbers of a second ago are wrong; assets say something else before.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(value) => value.to_str().ok()?.parse().ok(),
        // HTTP/2 has it in the URI.
        None => uri.authority().cloned(),
    }
}

fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), ConsoleError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok())
        .and_then(|uri| uri.into_parts().authority);
    if authority.is_some_and(|one| one.as_str().eq_ignore_ascii_case(host.as_str())) {
        return Ok(());
    }
    Err(ConsoleError::Forbidden(
        "requests from pages of other origins are not answered".to_owned(),
    ))
}

fn check_write(headers: &HeaderMap) -> Result<(), ConsoleError> {
    if headers.get(WRITE_HEADER).is_some_and(|value| value == "1") {
        return Ok(());
    }
    Err(ConsoleError::Forbidden(format!(
        "a change needs the header `{WRITE_HEADER}: 1`, which keeps strangers' pages from making one"
    )))
}
