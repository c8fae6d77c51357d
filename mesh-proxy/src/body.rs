//! Bodies: one type through the whole stack, and one wrapper that tells its
//! owner when a body has ended.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use mesh_telemetry::proxy::Flags;

use crate::error::{ProxyError, Side};

/// A streamed body with its trailers; back-pressure is the reader's polling.
pub(crate) type Body = axum::body::Body;

/// Why a body broke off.
pub(crate) type BodyError = axum::Error;

/// A request on its way through the stack.
pub(crate) type Request = http::Request<Body>;

/// A response on its way back.
pub(crate) type Response = http::Response<Body>;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it was read.
    Complete,
    /// It broke off.
    Failed(Break),
    /// Its reader went away.
    Dropped,
}

/// Why a body broke off, for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// Bounded code.
    pub(crate) reason: &'static str,
    /// Envoy's letters.
    pub(crate) flags: Flags,
    /// Whose doing it is.
    pub(crate) side: Side,
}

impl Break {
    /// This sidecar's own doing says what it is; everything else is its sender's.
    fn of(error: &BodyError) -> Self {
        match own_doing(error) {
            Some(own) => Self {
                reason: own.reason(),
                flags: own.flags(),
                side: own.side(),
            },
            None => Self {
                reason: "body_broke_off",
                flags: Flags::UPSTREAM_CLOSED,
                side: Side::Upstream,
            },
        }
    }
}

/// The innermost error of this sidecar: what others pass on is wrapped by them.
fn own_doing(error: &BodyError) -> Option<&ProxyError> {
    let (mut cause, mut own): (Option<&(dyn Error + 'static)>, _) = (Some(error), None);
    while let Some(error) = cause {
        own = error.downcast_ref().or(own);
        cause = error.source();
    }
    own
}

/// Who wants to know.
pub(crate) trait Watch: Send + Unpin + 'static {
    /// Called with the length of each part that is passed on.
    fn data(&mut self, _: usize) {}

    /// Called with the trailers, if there are any, before the end.
    fn trailers(&mut self, _: &http::HeaderMap) {}

    /// Called once. Whatever lies inside the body has ended before.
    fn ended(self, end: End);
}

/// Calls `watch` when the body has ended; at once when it is empty.
pub(crate) fn watched<W: Watch>(body: Body, watch: W) -> Body {
    if body.is_end_stream() {
        watch.ended(End::Complete);
        return body;
    }
    Body::new(Watched {
        inner: Some(body),
        watch: Some(watch),
    })
}

/// The same for a response's body.
pub(crate) fn watched_response<W: Watch>(response: Response, watch: W) -> Response {
    response.map(|body| watched(body, watch))
}

struct Watched<W: Watch> {
    inner: Option<Body>,
    watch: Option<W>,
}

impl<W: Watch> Watched<W> {
    fn end(&mut self, end: End) {
        // The inner body first: attempts finish before their request does.
        drop(self.inner.take());
        if let Some(watch) = self.watch.take() {
            watch.ended(end);
        }
    }

    fn tell(&mut self, polled: Option<&Result<Frame<Bytes>, BodyError>>) {
        let (Some(Ok(frame)), Some(watch)) = (polled, &mut self.watch) else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            watch.data(data.len());
        } else if let Some(trailers) = frame.trailers_ref() {
            watch.trailers(trailers);
        }
    }

    fn is_complete(&self) -> bool {
        self.inner
            .as_ref()
            .is_none_or(axum::body::HttpBody::is_end_stream)
    }
}

impl<W: Watch> http_body::Body for Watched<W> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = ready!(Pin::new(inner).poll_frame(cx));
        self.tell(polled.as_ref());
        match &polled {
            Some(Err(error)) => self.end(End::Failed(Break::of(error))),
            None => self.end(End::Complete),
            // Whoever knows the length does not ask again after the last byte.
            Some(Ok(_)) if self.is_complete() => self.end(End::Complete),
            Some(Ok(_)) => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.is_complete()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), axum::body::HttpBody::size_hint)
    }
}

impl<W: Watch> Drop for Watched<W> {
    fn drop(&mut self) {
        let end = if self.is_complete() {
            End::Complete
        } else {
            End::Dropped
        };
        self.end(end);
    }
}

/// Keeps a value until the body has ended: a slot of a limit, a permit of a balancer.
pub(crate) struct Keep<T>(pub(crate) T);

impl<T: Send + Unpin + 'static> Watch for Keep<T> {
    fn ended(self, _: End) {
        drop(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use mesh_telemetry::proxy::Flags;

    use super::{Body, BodyError, Break, End, Watch, watched};
    use crate::error::{ProxyError, Side};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(&'static str, End)>>>);

    struct Entry(&'static str, Log);

    impl Watch for Entry {
        fn ended(self, end: End) {
            self.1.0.lock().unwrap().push((self.0, end));
        }
    }

    fn nested(log: &Log, frames: Vec<Result<&'static str, &'static str>>) -> Body {
        let stream = futures_util::stream::iter(frames.into_iter().map(|frame| {
            frame
                .map(|text| Frame::data(Bytes::from_static(text.as_bytes())))
                .map_err(std::io::Error::other)
        }));
        let inner = watched(
            Body::new(StreamBody::new(stream)),
            Entry("inner", log.clone()),
        );
        watched(inner, Entry("outer", log.clone()))
    }

    #[tokio::test]
    async fn the_inner_body_ends_before_the_outer_one_however_it_ends() {
        let log = Log::default();
        nested(&log, vec![Ok("a")]).collect().await.unwrap();
        nested(&log, vec![Ok("a"), Err("broken")])
            .collect()
            .await
            .unwrap_err();
        drop(nested(&log, vec![Ok("a")]));
        let broke = Break {
            reason: "body_broke_off",
            flags: Flags::UPSTREAM_CLOSED,
            side: Side::Upstream,
        };
        let wanted = [End::Complete, End::Failed(broke), End::Dropped]
            .into_iter()
            .flat_map(|end| [("inner", end), ("outer", end)]);
        assert_eq!(*log.0.lock().unwrap(), wanted.collect::<Vec<_>>());
    }

    #[test]
    fn a_body_that_was_cut_here_says_why() {
        let cut = BodyError::new(BodyError::new(ProxyError::Deadline));
        let broke = Break::of(&cut);
        assert_eq!(broke.reason, "deadline");
        assert_eq!(broke.flags, Flags::UPSTREAM_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_with_its_last_byte() {
        let log = Log::default();
        let mut body = watched(Body::from("hello"), Entry("only", log.clone()));
        body.frame().await.unwrap().unwrap();
        assert_eq!(*log.0.lock().unwrap(), [("only", End::Complete)]);
    }
}
