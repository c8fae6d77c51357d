//! What a request and its answer say about the caller's connection alone (RFC 9110,
//! 7.6.1): it ends here, in both directions, whatever `Connection` names included.
//!
//! What the hop itself leaves behind (`Via`, `Forwarded`) is written here, too, before
//! anything about the request is changed.
//!
//! One thing may go on: the wish for another protocol on the connection. Where the
//! upstream grants it, this layer joins the two connections.

mod forwarded;

use std::{convert::Infallible, future::Future, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
        UPGRADE,
    },
};
use hyper::upgrade::OnUpgrade;
use mesh_telemetry::proxy::Direction;
use tower::Service;

use super::{Around, guard::disarm};
use crate::{
    body::{Request, Response},
    server::Drain,
    shared::Shared,
    tunnel,
};
use forwarded::Traces;

/// The layer.
pub(crate) struct Hop {
    drain: Drain,
    traces: Traces,
}

impl Hop {
    pub(crate) fn new(shared: &Shared, side: Direction) -> Self {
        let owner = shared.policy.owner();
        Self {
            drain: shared.drain.clone(),
            traces: Traces::new(owner.limits(side).forwarded, &owner.service),
        }
    }
}

impl<Next> Around<Request, Next> for Hop
where
    Next: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    Next::Future: Future<Output = Result<Response, Infallible>> + Send,
{
    type Error = Infallible;

    async fn call(
        self: Arc<Self>,
        mut request: Request,
        mut next: Next,
    ) -> Result<Response, Infallible> {
        let upgrade = strip_request(&mut request);
        self.traces.on_request(&mut request);
        let mut response = next.call(request).await?;
        self.traces.on_response(&mut response);
        // Of the caller's hop, whatever the upstream spoke.
        *response.version_mut() = Version::HTTP_11;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if upgrade.is_some() {
            tunnel::join(&mut response, upgrade, &self.drain);
        }
        Ok(response)
    }
}

/// Leaves `Upgrade` in place where another protocol can be had, and returns the
/// connection that would speak it, or be the tunnel of a `CONNECT`.
fn strip_request(request: &mut Request) -> Option<OnUpgrade> {
    if request.method() == Method::CONNECT {
        strip(request.headers_mut());
        return request.extensions_mut().remove::<OnUpgrade>();
    }
    let headers = request.headers();
    let wanted = headers.contains_key(UPGRADE)
        && request.version() == Version::HTTP_11
        && names(headers, UPGRADE.as_str())
        && !asks_for_http2(headers);
    let protocols = wanted.then(|| request.headers().get(UPGRADE).cloned());
    strip(request.headers_mut());
    let protocols = protocols.flatten()?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>()?;
    request.headers_mut().insert(UPGRADE, protocols);
    Some(upgrade)
}

/// HTTP/2 is a matter between two neighbours: passed on, it would be a tunnel that
/// nobody sees into.
fn asks_for_http2(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.to_ascii_lowercase().starts_with("h2"))
}

fn names(headers: &HeaderMap, name: &str) -> bool {
    tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(name))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
}

/// Removes what speaks about one connection. `TE: trailers` may go on: trailers do.
pub(super) fn strip(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    disarm(headers);
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH); // the coding said where the body ends
    }
    let trailers_welcome = tokens(headers, &TE).any(|token| {
        let coding = token.split(';').next().unwrap_or_default().trim();
        coding.eq_ignore_ascii_case("trailers")
    });
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    if trailers_welcome {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::strip;

    #[test]
    fn headers_of_one_hop_and_those_that_connection_names_are_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "Trailers;q=1, gzip"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
            ("content-type", "text/plain"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            ["content-type: text/plain", "te: trailers", "trailer: x-sum"]
        );
    }
}
