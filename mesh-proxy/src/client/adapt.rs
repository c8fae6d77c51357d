//! One request in the form of either protocol. Both forms can be made of each other.

use http::{
    HeaderMap, HeaderValue, Uri, Version,
    header::{COOKIE, HOST},
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{body::Request, names};

/// Origin form with `Host`, and one `Cookie`.
pub(super) fn to_http1(request: &mut Request, spoken: Version) {
    to_origin_form(request);
    *request.version_mut() = Version::HTTP_11;
    if spoken == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
}

/// `:authority` in place of `Host`. Who speaks HTTP/1.1 is remembered, so that the
/// sidecar at the other end can give its application the same.
pub(super) fn to_http2(request: &mut Request, endpoint: &str, spoken: Version, scheme: Scheme) {
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
    if spoken != Version::HTTP_2 {
        let http1 = HeaderValue::from_static(names::HTTP1);
        request.headers_mut().insert(names::PROTOCOL, http1);
    }
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

/// HTTP/2 lets a cookie come in crumbs; HTTP/1.1 knows one line of them (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Version, uri::Scheme};

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
        to_http1(&mut request, Version::HTTP_11);
        assert_eq!(request.uri(), "/pay?x=1");
        assert_eq!(request.headers()["host"], "payments:80");
    }

    #[test]
    fn host_becomes_the_authority_and_the_other_way_round() {
        let mut request = request("/pay?x=1", &[("host", "payments:80")]);
        to_http2(&mut request, "127.0.0.1:1", Version::HTTP_11, Scheme::HTTP);
        assert_eq!(request.uri(), "http://payments:80/pay?x=1");
        assert!(!request.headers().contains_key("host"));
        assert_eq!(request.headers()["x-mesh-protocol"], "http1");
        to_http1(&mut request, Version::HTTP_11);
        assert_eq!(request.uri(), "/pay?x=1");
        assert_eq!(request.headers()["host"], "payments:80");
    }

    #[test]
    fn http2_needs_an_authority_even_where_nobody_gave_one() {
        let mut nobody = request("/", &[]);
        to_http2(&mut nobody, "127.0.0.1:1", Version::HTTP_2, Scheme::HTTP);
        assert_eq!(nobody.uri(), "http://127.0.0.1:1/");
        let mut user = request("http://user@payments/", &[]);
        to_http2(&mut user, "127.0.0.1:1", Version::HTTP_2, Scheme::HTTP);
        assert_eq!(user.uri(), "http://payments/");
        assert!(!user.headers().contains_key("x-mesh-protocol"));
    }

    #[test]
    fn crumbs_of_a_cookie_are_joined() {
        let mut request = request("/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        to_http1(&mut request, Version::HTTP_2);
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
