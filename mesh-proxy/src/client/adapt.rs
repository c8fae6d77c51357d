//! One request in the form of either protocol. Both forms can be made of each other.

use http::{
    HeaderValue, StatusCode, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::body::Request;

/// Origin form with `Host`. Crumbs of a cookie were joined where they came in.
pub(super) fn to_http1(request: &mut Request) {
    to_origin_form(request);
    *request.version_mut() = Version::HTTP_11;
}

/// `:authority` in place of `Host`.
pub(super) fn to_http2(request: &mut Request, endpoint: &str, scheme: Scheme) {
    let host = request.headers_mut().remove(HOST);
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let authority = uri
        .authority
        .map(without_user)
        .or_else(|| Authority::try_from(host?.as_bytes()).ok())
        .or_else(|| Authority::try_from(endpoint).ok());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme); // that of this hop: servers compare it with what they hear
    parts.authority = authority;
    parts.path_and_query = uri
        .path_and_query
        .or_else(|| Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
}

/// Absolute form is for proxies; its authority replaces `Host` (RFC 9112, 3.2.2).
fn to_origin_form(request: &mut Request) {
    if let Some(authority) = request.uri().authority() {
        let host = authority
            .as_str()
            .rsplit_once('@')
            .map_or(authority.as_str(), |(_, host)| host);
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().insert(HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
}

fn without_user(authority: Authority) -> Authority {
    match authority.as_str().rsplit_once('@') {
        Some((_, host)) => Authority::try_from(host).unwrap_or(authority),
        None => authority,
    }
}

/// Why an answer cannot be passed on, if it cannot.
pub(super) fn unusable<B>(response: &http::Response<B>) -> Option<&'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Some("it switches to another protocol unasked");
    }
    let mut codings = response.headers().get_all(TRANSFER_ENCODING).iter();
    let only_chunked = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    (!only_chunked).then_some("its body has a transfer coding other than `chunked`")
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, uri::Scheme};

    use super::{to_http1, to_http2};
    use crate::body::{Body, Request};

    fn request(uri: &str, headers: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_its_authority_the_host() {
        let mut request = request("http://user@payments:80/pay?x=1", &[("host", "elsewhere")]);
        to_http1(&mut request);
        assert_eq!(request.uri(), "/pay?x=1");
        assert_eq!(request.headers()["host"], "payments:80");
    }

    #[test]
    fn host_becomes_the_authority_and_the_other_way_round() {
        let mut request = request("/pay?x=1", &[("host", "payments:80")]);
        to_http2(&mut request, "127.0.0.1:1", Scheme::HTTP);
        assert_eq!(request.uri(), "http://payments:80/pay?x=1");
        assert!(!request.headers().contains_key("host"));
        to_http1(&mut request);
        assert_eq!(request.uri(), "/pay?x=1");
        assert_eq!(request.headers()["host"], "payments:80");
    }

    #[test]
    fn http2_needs_an_authority_even_where_nobody_gave_one() {
        let mut nobody = request("/", &[]);
        to_http2(&mut nobody, "127.0.0.1:1", Scheme::HTTP);
        assert_eq!(nobody.uri(), "http://127.0.0.1:1/");
        let mut user = request("http://user@payments/", &[]);
        to_http2(&mut user, "127.0.0.1:1", Scheme::HTTP);
        assert_eq!(user.uri(), "http://payments/");
    }
}
