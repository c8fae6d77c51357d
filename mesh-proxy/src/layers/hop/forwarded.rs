//! What requests and answers say about this hop: `Via` (RFC 9110, 7.6.3) and
//! `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{FORWARDED, HOST, VIA},
};

use crate::{
    body::{Request, Response},
    config::Forwarded,
    names::is_token,
    server::RemoteAddress,
    tls::Peer,
};

/// What others say in place of `Forwarded`.
const EARLIER: [HeaderName; 5] = [
    VIA,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// The hop, as one listener tells of it.
pub(super) struct Traces {
    mode: Forwarded,
    /// For HTTP/1.0, HTTP/1.1 and HTTP/2.
    via: [HeaderValue; 3],
}

impl Traces {
    pub(super) fn new(mode: Forwarded, service: &str) -> Self {
        let via = ["1.0", "1.1", "2"].map(|version| {
            let text = format!("{version} {service}");
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("1.1 sidecar"))
        });
        Self { mode, via }
    }

    /// Says where a request came from, before anything about it is changed.
    pub(super) fn on_request(&self, request: &mut Request) {
        match self.mode {
            Forwarded::Off => return,
            Forwarded::Append => {}
            Forwarded::Replace => remove_earlier(request.headers_mut()),
        }
        let via = self.via(request.version());
        let forwarded = forwarded(request);
        let headers = request.headers_mut();
        headers.append(VIA, via);
        if let Ok(forwarded) = HeaderValue::from_bytes(&forwarded) {
            headers.append(FORWARDED, forwarded);
        }
    }

    /// Says that an answer came through here.
    pub(super) fn on_response(&self, response: &mut Response) {
        if self.mode != Forwarded::Off {
            let via = self.via(response.version());
            response.headers_mut().append(VIA, via);
        }
    }

    fn via(&self, version: Version) -> HeaderValue {
        let [old, usual, new] = &self.via;
        match version {
            Version::HTTP_10 => old.clone(),
            Version::HTTP_2 => new.clone(),
            _ => usual.clone(),
        }
    }
}

fn remove_earlier(headers: &mut HeaderMap) {
    for name in &EARLIER {
        headers.remove(name);
    }
}

fn forwarded(request: &Request) -> Vec<u8> {
    let extensions = request.extensions();
    let from = extensions.get::<RemoteAddress>().map(|it| it.0);
    let secured = extensions.get::<std::sync::Arc<Peer>>().is_some();
    let mut text = Vec::with_capacity(64);
    text.extend_from_slice(b"for=");
    push_node(&mut text, from);
    if let Some(host) = host(request) {
        text.extend_from_slice(b";host=");
        push_value(&mut text, host);
    }
    let proto: &[u8] = if secured { b"https" } else { b"http" };
    text.extend_from_slice(b";proto=");
    text.extend_from_slice(proto);
    text
}

/// The caller's address, without its port: an IPv6 one in brackets and quotes.
fn push_node(text: &mut Vec<u8>, from: Option<SocketAddr>) {
    match from.map(|from| from.ip().to_canonical()) {
        Some(IpAddr::V4(ip)) => text.extend_from_slice(ip.to_string().as_bytes()),
        Some(IpAddr::V6(ip)) => push_value(text, format!("[{ip}]").as_bytes()),
        None => text.extend_from_slice(b"unknown"),
    }
}

fn host(request: &Request) -> Option<&[u8]> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => Some(request.headers().get(HOST)?.as_bytes()),
    }
}

/// A token as it is, everything else in quotes.
fn push_value(text: &mut Vec<u8>, value: &[u8]) {
    if !value.is_empty() && value.iter().all(|&byte| is_token(byte)) {
        text.extend_from_slice(value);
        return;
    }
    text.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Version, header::VIA};

    use super::{Traces, forwarded};
    use crate::{
        body::{Body, Request, Response},
        config::Forwarded,
        server::RemoteAddress,
    };

    fn request(host: &'static str, from: Option<&str>) -> Request {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static(host));
        headers.insert("via", HeaderValue::from_static("1.1 earlier"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("9.9.9.9"));
        if let Some(from) = from {
            let from = RemoteAddress(from.parse().unwrap());
            request.extensions_mut().insert(from);
        }
        request
    }

    #[test]
    fn what_is_no_token_is_quoted() {
        for (host, from, wanted) in [
            (
                "payments",
                Some("10.0.0.7:99"),
                "for=10.0.0.7;host=payments;proto=http",
            ),
            (
                "payments:80",
                Some("[2001:db8::1]:99"),
                r#"for="[2001:db8::1]";host="payments:80";proto=http"#,
            ),
            (r#"a"b\"#, None, r#"for=unknown;host="a\"b\\";proto=http"#),
            (
                "a",
                Some("[::ffff:10.0.0.7]:1"),
                "for=10.0.0.7;host=a;proto=http",
            ),
        ] {
            let text = forwarded(&request(host, from));
            assert_eq!(String::from_utf8(text).unwrap(), wanted);
        }
    }

    fn seen(mode: Forwarded) -> (Vec<String>, bool) {
        let mut request = request("payments", None);
        *request.version_mut() = Version::HTTP_2;
        Traces::new(mode, "orders").on_request(&mut request);
        let via = request.headers().get_all(VIA).iter();
        let via = via
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        (via, request.headers().contains_key("x-forwarded-for"))
    }

    #[test]
    fn earlier_hops_stay_or_go_as_the_listener_says() {
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(seen(Forwarded::Off), (strings(&["1.1 earlier"]), true));
        assert_eq!(
            seen(Forwarded::Append),
            (strings(&["1.1 earlier", "2 orders"]), true)
        );
        assert_eq!(seen(Forwarded::Replace), (strings(&["2 orders"]), false));
        let mut response = Response::new(Body::empty());
        Traces::new(Forwarded::Append, "orders").on_response(&mut response);
        assert_eq!(response.headers()["via"], "1.1 orders");
    }
}
