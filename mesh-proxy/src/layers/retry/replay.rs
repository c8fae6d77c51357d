//! A request body that can be sent again: what one attempt reads from the caller
//! is kept for the others, up to a cap. Nothing waits for the whole body; the first
//! attempt streams while it is kept.
//!
//! Attempts that run beside one another read at their own pace, and whoever is in
//! front reads on from the caller. An attempt that follows others ends their reading.
//! As soon as no other can follow, nothing more is kept for one.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};

/// Bytes of a body that are kept unless the policy says otherwise; a longer one is
/// sent once. Linkerd's figure.
pub(crate) const REPLAY_CAP: usize = 64 * 1024;

/// The body of a request, shared by its attempts.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<Source>>);

struct Source {
    rest: Option<Body>,
    kept: VecDeque<Kept>,
    bytes: usize,
    cap: usize,
    overflowed: bool,
    /// Attempts begun so far.
    readers: u32,
    /// The first that may read on; earlier ones that are still being wound down may not.
    oldest: u32,
    /// The only one that may read on: there will be no other.
    last: Option<u32>,
    waiting: Arc<Waiting>,
}

/// Attempts that wait for more of the body. All of them are woken: the one that asked
/// last may be busy with something else by then, or gone.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// There is news, and this one has it.
    fn wake_others(&self, but: &Waker) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.into_iter()
            .filter(|waker| !waker.will_wake(but))
            .for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        woken.into_iter().for_each(Waker::wake);
    }
}

#[derive(Clone)]
enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

impl Replay {
    pub(crate) fn new(body: Body, cap: usize) -> Self {
        Self(Arc::new(Mutex::new(Source {
            rest: Some(body),
            kept: VecDeque::new(),
            bytes: 0,
            cap,
            overflowed: false,
            readers: 0,
            oldest: 0,
            last: None,
            waiting: Arc::default(),
        })))
    }

    /// Whether another attempt could send the whole body, as far as it is known.
    pub(crate) fn is_whole(&self) -> bool {
        !self.source().overflowed
    }

    /// Whether the whole body will be kept, whatever still comes of it.
    pub(crate) fn will_be_whole(&self) -> bool {
        let source = self.source();
        let fits = |rest: &Body| {
            let upper = rest.size_hint().upper();
            upper.is_some_and(|upper| upper <= source.cap.saturating_sub(source.bytes) as u64)
        };
        !source.overflowed && source.rest.as_ref().is_none_or(fits)
    }

    /// The body for one attempt more, from its beginning.
    pub(crate) fn body(&self) -> Body {
        let mut source = self.source();
        let attempt = ReplayBody {
            replay: self.clone(),
            reader: source.readers,
            next: 0,
            in_front: false,
        };
        source.readers += 1;
        drop(source);
        Body::new(attempt)
    }

    /// All attempts so far read no further.
    pub(crate) fn supersede(&self) {
        let mut source = self.source();
        source.oldest = source.readers;
    }

    /// The attempt of this number, from 1, is the only one that reads on, and no other
    /// will: what it has read is let go.
    pub(crate) fn settle(&self, number: u32) {
        let mut source = self.source();
        source.last = Some(number.saturating_sub(1));
        let waiting = Arc::clone(&source.waiting);
        drop(source);
        // Whoever waits for more of the body holds what it has read already.
        waiting.wake();
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
    /// Reads what is not kept any more.
    in_front: bool,
}

impl Source {
    fn may_read(&self, reader: u32) -> bool {
        let last = self.last.is_none_or(|last| last == reader);
        last && reader >= self.oldest
    }

    /// What is kept at this place, and from where to read on. What the last reader
    /// leaves behind is let go.
    fn kept(&mut self, next: usize) -> (Option<Kept>, usize) {
        if self.last.is_none() {
            let kept = self.kept.get(next).cloned();
            return (kept, next + 1);
        }
        self.kept.drain(..next.min(self.kept.len()));
        (self.kept.pop_front(), 0)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        self.waiting.add(cx.waker());
        let all = Waker::from(Arc::clone(&self.waiting));
        let polled = ready!(Pin::new(rest).poll_frame(&mut Context::from_waker(&all)));
        match &polled {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.overflow(),
            None => self.rest = None,
        }
        self.waiting.wake_others(cx.waker());
        Poll::Ready(polled)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.overflowed || self.last.is_some() {
            return;
        }
        let kept = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Kept::Data(data.clone()),
            (None, Some(trailers)) => Kept::Trailers(trailers.clone()),
            (None, None) => return,
        };
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > self.cap {
            self.overflow();
        } else {
            self.kept.push_back(kept);
        }
    }

    /// From here on the body can be sent by the attempt that reads now, and no other.
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
        let lost = source.overflowed && !self.in_front;
        if !source.may_read(self.reader) || lost {
            return Poll::Ready(Some(Err(BodyError::new(Superseded))));
        }
        let (kept, next) = source.kept(self.next);
        if let Some(kept) = kept {
            self.next = next;
            return Poll::Ready(Some(Ok(match kept {
                Kept::Data(data) => Frame::data(data),
                Kept::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        let polled = ready!(source.poll_rest(cx));
        self.next = source.kept.len();
        self.in_front = source.overflowed;
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

/// Another attempt reads the body now.
#[derive(Debug, thiserror::Error)]
#[error("another attempt reads the body now")]
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
        let replay = Replay::new(chunked(vec![b"one ".to_vec(), b"two".to_vec()]), REPLAY_CAP);
        assert_eq!(read(replay.body()).await, "one two");
        assert!(replay.is_whole());
        assert_eq!(read(replay.body()).await, "one two");
    }

    #[tokio::test]
    async fn an_attempt_takes_over_where_the_first_stopped_reading() {
        let replay = Replay::new(chunked(vec![b"one ".to_vec(), b"two".to_vec()]), REPLAY_CAP);
        let mut first = replay.body();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "one ");
        replay.supersede();
        let second = replay.body();
        assert!(
            first.frame().await.unwrap().is_err(),
            "the first may not read on"
        );
        assert_eq!(read(second).await, "one two");
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_sent_once_and_kept_no_longer() {
        let replay = Replay::new(chunked(vec![vec![7; 100], vec![8; 1]]), 100);
        let sent = read(replay.body()).await;
        assert_eq!(sent.len(), 101);
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn the_length_is_known_when_the_callers_is() {
        let replay = Replay::new(Body::from("hello"), REPLAY_CAP);
        let mut first = replay.body();
        assert_eq!(first.size_hint().exact(), Some(5));
        first.frame().await.unwrap().unwrap();
        assert!(first.is_end_stream());
        assert_eq!(replay.body().size_hint().exact(), Some(5));
    }

    #[tokio::test]
    async fn attempts_beside_one_another_read_at_their_own_pace() {
        let (sender, receiver) = channel();
        let replay = Replay::new(receiver, REPLAY_CAP);
        let (one, other) = (replay.body(), replay.body());
        let both = tokio::join!(read(one), read(other), async move {
            for text in ["one ", "two"] {
                tokio::task::yield_now().await;
                sender.send(text).await.unwrap();
            }
        });
        assert_eq!((both.0, both.1), ("one two".into(), "one two".into()));
    }

    #[tokio::test]
    async fn an_attempt_is_woken_although_another_asked_last_and_is_gone() {
        let (sender, receiver) = channel();
        let replay = Replay::new(receiver, REPLAY_CAP);
        let (stays, mut goes) = (replay.body(), replay.body());
        let reading = mesh_telemetry::task::spawn("reading", read(stays));
        tokio::task::yield_now().await;
        let nothing = futures_util::future::poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut goes).poll_frame(cx);
            std::task::Poll::Ready(polled.is_pending())
        });
        assert!(nothing.await);
        drop(goes);
        sender.send("all").await.unwrap();
        drop(sender);
        assert_eq!(reading.await.unwrap(), "all");
    }

    #[tokio::test]
    async fn only_what_is_known_to_fit_may_be_read_by_two() {
        let sized = Replay::new(Body::from("hello"), 5);
        assert!(sized.will_be_whole());
        assert!(!Replay::new(Body::from("hello"), 4).will_be_whole());
        let open = Replay::new(chunked(vec![b"hello".to_vec()]), 5);
        assert!(!open.will_be_whole(), "nobody said how much there is");
        read(open.body()).await;
        assert!(open.will_be_whole(), "it is all there");
    }

    fn channel() -> (tokio::sync::mpsc::Sender<&'static str>, Body) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let stream = futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|text| {
                text.map(|text: &'static str| {
                    Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(text.as_bytes())))
                })
            })
        });
        (sender, Body::new(StreamBody::new(stream)))
    }

    #[tokio::test]
    async fn what_only_one_attempt_can_use_is_let_go() {
        let chunks = [b"one", b"two", b"tri"].map(|chunk| chunk.to_vec());
        let replay = Replay::new(chunked(chunks.to_vec()), REPLAY_CAP);
        let (mut ahead, mut behind) = (replay.body(), replay.body());
        ahead.frame().await.unwrap().unwrap();
        ahead.frame().await.unwrap().unwrap();
        behind.frame().await.unwrap().unwrap();
        replay.settle(2);
        ahead.frame().await.unwrap().unwrap_err();
        let two = behind.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((two, replay.source().kept.len()), ("two".into(), 0));
        assert_eq!(behind.size_hint().lower(), 0);
        assert_eq!(read(behind).await, "tri");
        assert!(replay.source().kept.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_when_it_becomes_the_last_lets_go_at_once() {
        let (sender, mut frames) = tokio::sync::mpsc::channel::<Bytes>(1);
        let stream = futures_util::stream::poll_fn(move |cx| {
            let polled = frames.poll_recv(cx);
            polled.map(|data| data.map(|data| Ok::<_, std::io::Error>(Frame::data(data))))
        });
        let replay = Replay::new(Body::new(StreamBody::new(stream)), REPLAY_CAP);
        let mut body = replay.body();
        sender.send("one".into()).await.unwrap();
        body.frame().await.unwrap().unwrap();
        let reading = mesh_telemetry::task::spawn("reader", async move {
            body.frame().await.unwrap().unwrap();
        });
        tokio::task::yield_now().await;
        assert_eq!(replay.source().kept.len(), 1);
        replay.settle(1);
        tokio::task::yield_now().await;
        assert!(replay.source().kept.is_empty());
        sender.send("two".into()).await.unwrap();
        reading.await.unwrap();
        assert!(replay.source().kept.is_empty());
    }
}
