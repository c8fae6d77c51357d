//! Refuses what can be understood in two ways, before anything is decided by it.
//!
//! What can be told from the bytes (framing, line ends) has been refused by the
//! listener. Here is what can be told from a request as a whole: whom it is for, how
//! much of it there is, and which headers it may speak about.

mod connection;
mod host;

pub(super) use connection::disarm;

use http::{
    Uri, Version,
    header::{CONTENT_LENGTH, HOST},
};
use mesh_telemetry::proxy::Direction;

use super::passing::Gate;
use crate::{body::Request, call::Call, error::ProxyError, shared::Shared};

/// The layer.
pub(crate) struct Guard {
    max_headers: usize,
}

impl Guard {
    pub(crate) fn new(shared: &Shared, side: Direction) -> Self {
        Self {
            max_headers: shared.policy.owner().limits(side).max_headers,
        }
    }

    fn check(&self, request: &mut Request) -> Result<(), ProxyError> {
        self.count(request)?;
        one_length(request)?;
        one_host(request).map_err(ProxyError::Ambiguous)?;
        disarm(request.headers_mut());
        Ok(())
    }

    /// HTTP/1 heads are counted as they are read.
    fn count(&self, request: &Request) -> Result<(), ProxyError> {
        if request.headers().len() > self.max_headers {
            let most = self.max_headers;
            return Err(ProxyError::TooManyHeaders { most });
        }
        Ok(())
    }
}

/// In HTTP/2, where frames say where a body ends, a length is a claim beside them.
fn one_length(request: &Request) -> Result<(), ProxyError> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let mut lengths = request.headers().get_all(CONTENT_LENGTH).iter();
    let first = lengths.next();
    let plain = first.is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit));
    if plain && lengths.next().is_none() {
        return Ok(());
    }
    let why = "Content-Length must be one plain number, given once";
    Err(ProxyError::Ambiguous(why))
}

/// A request is for one host, and says so in one way.
fn one_host(request: &Request) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("it has more than one Host header");
    }
    if let Some(host) = host
        && !host::is_valid(host.as_bytes())
    {
        return Err("its Host is no host with a port or without");
    }
    match (request.uri().authority(), host) {
        (Some(authority), host) => {
            if !host::is_valid(authority.as_str().as_bytes()) {
                return Err("its authority is no host with a port or without");
            }
            let scheme = request.uri().scheme_str();
            let same =
                host.is_none_or(|host| host::is_same(scheme, authority.as_str(), host.as_bytes()));
            same.then_some(())
                .ok_or("its Host is not the host of its URL")
        }
        (None, None) if needs_host(request.version(), request.uri()) => Err("it has no Host"),
        (None, _) => Ok(()),
    }
}

fn needs_host(version: Version, uri: &Uri) -> bool {
    version >= Version::HTTP_11 && uri.authority().is_none()
}

impl Gate<Call> for Guard {
    type Passed = Call;
    type Error = ProxyError;

    fn pass(&self, mut call: Call) -> Result<Call, ProxyError> {
        self.check(&mut call.request)?;
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Version};

    use super::{one_host, one_length};
    use crate::body::{Body, Request};

    fn request(uri: &str, version: Version, headers: &[(&str, &str)]) -> Request {
        let mut request = http::Request::builder().uri(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_str(value).unwrap());
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_request_is_for_one_host() {
        let two = [("host", "a"), ("host", "a")];
        for (uri, version, headers, fine) in [
            ("/", Version::HTTP_11, &[("host", "a")][..], true),
            ("/", Version::HTTP_11, &[], false),
            ("/", Version::HTTP_10, &[], true),
            ("/", Version::HTTP_2, &[], false),
            ("/", Version::HTTP_11, &two, false),
            ("/", Version::HTTP_11, &[("host", "a b")], false),
            ("/", Version::HTTP_11, &[("host", "user@a")], false),
            ("http://a/", Version::HTTP_11, &[("host", "A:80")], true),
            ("http://a/", Version::HTTP_11, &[("host", "b")], false),
            ("http://a/", Version::HTTP_2, &[], true),
            ("http://a:81/", Version::HTTP_2, &[("host", "a")], false),
            ("http://u@a/", Version::HTTP_2, &[], false),
        ] {
            let found = one_host(&request(uri, version, headers));
            assert_eq!(found.is_ok(), fine, "{uri} {headers:?}: {found:?}");
        }
    }

    #[test]
    fn a_length_in_http2_is_one_plain_number() {
        for (lengths, fine) in [
            (&[][..], true),
            (&[("content-length", "5")], true),
            (&[("content-length", "5"), ("content-length", "5")], false),
            (&[("content-length", "+5")], false),
            (&[("content-length", "5, 5")], false),
        ] {
            let request = request("http://a/", Version::HTTP_2, lengths);
            assert_eq!(one_length(&request).is_ok(), fine, "{lengths:?}");
        }
    }
}
