//! A request body that can be sent again: what one attempt reads from the caller
//! is kept for the next one, up to a cap. Nothing waits for the whole body; the
//! first attempt streams while it is kept.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};

/// Bytes of a body that are kept; a longer one is sent once. Linkerd's figure.
pub(crate) const REPLAY_CAP: usize = 64 * 1024;

/// The body of a request, shared by its attempts.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<Source>>);

struct Source {
    rest: Option<Body>,
    kept: VecDeque<Kept>,
    bytes: usize,
    overflowed: bool,
    /// Which attempt may read on; an earlier one that is still being wound down may not.
    reader: u32,
}

#[derive(Clone)]
enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

impl Replay {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Source {
            rest: Some(body),
            kept: VecDeque::new(),
            bytes: 0,
            overflowed: false,
            reader: 0,
        })))
    }

    /// Whether another attempt could send the whole body.
    pub(crate) fn is_whole(&self) -> bool {
        !self.source().overflowed
    }

    /// The body for the next attempt, from its beginning.
    pub(crate) fn body(&self) -> Body {
        let mut source = self.source();
        source.reader += 1;
        let attempt = ReplayBody {
            replay: self.clone(),
            reader: source.reader,
            next: 0,
        };
        drop(source);
        Body::new(attempt)
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        // A panic of another holder leaves nothing half-done that could be read wrongly.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ReplayBody {
    replay: Replay,
    reader: u32,
    next: usize,
}

impl Source {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = std::task::ready!(Pin::new(rest).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.overflow(),
            None => self.rest = None,
        }
        Poll::Ready(polled)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.overflowed {
            return;
        }
        let kept = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Kept::Data(data.clone()),
            (None, Some(trailers)) => Kept::Trailers(trailers.clone()),
            (None, None) => return,
        };
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > REPLAY_CAP {
            self.overflow();
        } else {
            self.kept.push_back(kept);
        }
    }

    /// From here on the body can be sent by the present attempt only.
    fn overflow(&mut self) {
        self.overflowed = true;
        self.kept = VecDeque::new();
    }
}

impl http_body::Body for ReplayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let replay = self.replay.clone();
        let mut source = replay.source();
        if source.reader != self.reader {
            return Poll::Ready(Some(Err(BodyError::new(Superseded))));
        }
        if let Some(kept) = source.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(match kept.clone() {
                Kept::Data(data) => Frame::data(data),
                Kept::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        let polled = std::task::ready!(source.poll_rest(cx));
        self.next = source.kept.len();
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        let source = self.replay.source();
        self.next >= source.kept.len() && source.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.replay.source();
        let kept: u64 = source.kept.iter().skip(self.next).map(Kept::len).sum();
        let rest = source.rest.as_ref().map(Body::size_hint);
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + kept);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

impl Kept {
    fn len(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }
}

/// A later attempt reads the body now.
#[derive(Debug, thiserror::Error)]
#[error("a later attempt reads the body now")]
struct Superseded;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::{Body as _, Frame};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::{REPLAY_CAP, Replay};
    use crate::body::Body;

    fn chunked(chunks: Vec<Vec<u8>>) -> Body {
        let frames = chunks
            .into_iter()
            .map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::from(chunk))));
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn read(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn the_second_attempt_sends_what_the_first_sent() {
        let replay = Replay::new(chunked(vec![b"one ".to_vec(), b"two".to_vec()]));
        assert_eq!(read(replay.body()).await, "one two");
        assert!(replay.is_whole());
        assert_eq!(read(replay.body()).await, "one two");
    }

    #[tokio::test]
    async fn an_attempt_takes_over_where_the_first_stopped_reading() {
        let replay = Replay::new(chunked(vec![b"one ".to_vec(), b"two".to_vec()]));
        let mut first = replay.body();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "one ");
        let second = replay.body();
        assert!(
            first.frame().await.unwrap().is_err(),
            "the first may not read on"
        );
        assert_eq!(read(second).await, "one two");
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_sent_once_and_kept_no_longer() {
        let replay = Replay::new(chunked(vec![vec![7; REPLAY_CAP], vec![8; 1]]));
        let sent = read(replay.body()).await;
        assert_eq!(sent.len(), REPLAY_CAP + 1);
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn the_length_is_known_when_the_callers_is() {
        let replay = Replay::new(Body::from("hello"));
        let mut first = replay.body();
        assert_eq!(first.size_hint().exact(), Some(5));
        first.frame().await.unwrap().unwrap();
        assert!(first.is_end_stream());
        assert_eq!(replay.body().size_hint().exact(), Some(5));
    }
}
