//! From hyper to the stack, one request at a time: what a connection must know about
//! its requests, and what requests must know about their connection.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{COOKIE, UPGRADE},
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use super::{
    RemoteAddress,
    http2::Flow,
    listening::Listening,
    traffic::{Switch, Traffic},
    upload::{Answered, Upload},
};
use crate::{
    body::{Body, BodyError, Response},
    stack::Stack,
    tls::Peer,
};

/// The service of one connection.
pub(super) struct Handler<S> {
    stack: S,
    traffic: Arc<Traffic>,
    listening: Arc<Listening>,
    address: RemoteAddress,
    peer: Option<Arc<Peer>>,
}

impl<S: Stack> Handler<S> {
    pub(super) fn new(
        stack: &S,
        traffic: &Arc<Traffic>,
        listening: &Arc<Listening>,
        address: RemoteAddress,
        peer: Option<&Arc<Peer>>,
    ) -> Self {
        Self {
            stack: stack.clone(),
            traffic: Arc::clone(traffic),
            listening: Arc::clone(listening),
            address,
            peer: peer.cloned(),
        }
    }
}

impl<S: Stack> Service<http::Request<Incoming>> for Handler<S> {
    type Response = http::Response<Outgoing>;
    type Error = Severed;
    type Future = Answer<S::Future>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        self.traffic.begin();
        let mut in_flight = InFlight {
            traffic: Arc::clone(&self.traffic),
            answered: None,
        };
        if self.listening.tells_address(request.headers()) {
            request.extensions_mut().insert(self.address);
        }
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(Arc::clone(peer));
        }
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 {
            join_cookies(request.headers_mut());
        }
        let asks = Asks::of(&request);
        if asks != Asks::Nothing {
            self.traffic.ask();
        }
        let request = if is_http2 && !http_body::Body::is_end_stream(request.body()) {
            let answered = in_flight.answered.insert(Arc::default());
            request.map(|body| Body::new(Upload::new(body, answered)))
        } else {
            request.map(Body::new)
        };
        Answer {
            inner: self.stack.clone().call(request),
            in_flight: Some(in_flight),
            yields: asks != Asks::Nothing,
            asks,
        }
    }
}

/// HTTP/2 may cut a `Cookie` into crumbs; HTTP/1 and applications know one
/// (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let mut whole: Vec<u8> = Vec::new();
    for crumb in headers.get_all(COOKIE) {
        if !whole.is_empty() {
            whole.extend_from_slice(b"; ");
        }
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(whole)) {
        headers.insert(COOKIE, whole);
    }
}

/// Which other protocol a request asks for, on HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    Tunnel,
    Upgrade,
}

impl Asks {
    fn of(request: &http::Request<Incoming>) -> Self {
        if request.version() == Version::HTTP_2 {
            Self::Nothing // a stream of its own; the connection goes on
        } else if request.method() == Method::CONNECT {
            Self::Tunnel
        } else if request.headers().contains_key(UPGRADE) {
            Self::Upgrade
        } else {
            Self::Nothing
        }
    }

    fn answered(self, status: StatusCode) -> Switch {
        let switched = match self {
            Self::Nothing => false,
            Self::Tunnel => status.is_success(),
            Self::Upgrade => status == StatusCode::SWITCHING_PROTOCOLS,
        };
        if switched {
            Switch::Switched
        } else {
            Switch::Declined
        }
    }
}

/// Among the extensions of a response: it is not sent, and its connection is broken
/// instead. HTTP/1 has nothing else to break; of HTTP/2 it is the stream alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Severed;

impl fmt::Display for Severed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the connection is broken on purpose")
    }
}

impl Error for Severed {}

/// A request without an end yet.
struct InFlight {
    traffic: Arc<Traffic>,
    /// Tells the body of the request; none where there is nobody to be told.
    answered: Option<Arc<Answered>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.traffic.end();
        if let Some(answered) = &self.answered {
            answered.set();
        }
    }
}

/// The answer that is coming.
pub(super) struct Answer<F> {
    inner: F,
    in_flight: Option<InFlight>,
    /// Whoever drives the connection is to see first that a request asks for another protocol.
    yields: bool,
    asks: Asks,
}

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<http::Response<Outgoing>, Severed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.yields) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let response = match ready!(Pin::new(&mut self.inner).poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let in_flight = self.in_flight.take();
        if response.extensions().get::<Severed>().is_some() {
            if let Some(InFlight { traffic, .. }) = &in_flight {
                traffic.sever();
            }
            return Poll::Ready(Err(Severed));
        }
        if self.asks != Asks::Nothing
            && let Some(InFlight { traffic, .. }) = &in_flight
        {
            traffic.answer(self.asks.answered(response.status()));
        }
        Poll::Ready(Ok(response.map(|body| Outgoing {
            body,
            flow: Flow::begin(),
            _in_flight: in_flight,
        })))
    }
}

/// The body of an answer; its request is in flight as long as hyper holds it.
pub(super) struct Outgoing {
    body: Body,
    /// None on HTTP/1, where the connection itself waits for its reader.
    flow: Option<Arc<Flow>>,
    _in_flight: Option<InFlight>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(flow) = &self.flow {
            flow.asked(polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::join_cookies;

    #[test]
    fn crumbs_of_a_cookie_become_one() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
        assert_eq!(headers[COOKIE], "a=1; b=2; c=3; d=4");
    }
}
