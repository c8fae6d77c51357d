//! Bodies that break off at the deadline, or when nothing has moved for too long.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    body::{Body, BodyError, Request},
    error::ProxyError,
    layers::cut::Cut,
};

/// Until when the bodies of a request and its answer may last.
#[derive(Clone)]
pub(super) struct Bounds {
    deadline: Option<Instant>,
    idle: Option<Arc<Idle>>,
}

/// How long both bodies may be silent at once: whoever only listens is not idle while
/// the other one speaks.
struct Idle {
    longest: Duration,
    began: Instant,
    /// When something moved last, microseconds after `began`.
    moved: AtomicU64,
}

impl Idle {
    fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.moved.fetch_max(now, Ordering::Relaxed);
    }

    fn until(&self) -> Instant {
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        self.began + moved + self.longest
    }
}

impl Bounds {
    pub(super) fn new(deadline: Option<Instant>, idle: Option<Duration>) -> Self {
        let idle = idle.map(|longest| {
            Arc::new(Idle {
                longest,
                began: Instant::now(),
                moved: AtomicU64::new(0),
            })
        });
        Self { deadline, idle }
    }

    /// Bounds the body of a request: also one that goes on after its answer. What is
    /// returned knows why it was cut; none: it cannot be.
    pub(super) fn hold_upload(&self, request: &mut Request) -> Option<Cut> {
        if request.body().is_end_stream() || self.is_nothing() {
            return None;
        }
        let cut = Cut::default();
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = self.hold(body, cut.clone(), || ProxyError::SilentCaller);
        Some(cut)
    }

    /// Bounds the body of an answer.
    pub(super) fn hold_download(&self, body: Body) -> Body {
        if body.is_end_stream() || self.is_nothing() {
            return body;
        }
        self.hold(body, Cut::default(), || ProxyError::Idle)
    }

    fn is_nothing(&self) -> bool {
        self.deadline.is_none() && self.idle.is_none()
    }

    fn hold(&self, body: Body, cut: Cut, silent: fn() -> ProxyError) -> Body {
        Body::new(Timed {
            body,
            bounds: self.clone(),
            cut,
            silent,
            waiting: false,
            timer: None,
        })
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.idle.as_ref().is_some_and(|idle| idle.until() <= now)
    }

    fn next(&self) -> Option<Instant> {
        let idle = self.idle.as_ref().map(|idle| idle.until());
        self.deadline.into_iter().chain(idle).min()
    }

    fn touch(&self) {
        if let Some(idle) = &self.idle {
            idle.touch();
        }
    }
}

/// The timer is made only when the body keeps its reader waiting, which most never do.
struct Timed {
    body: Body,
    bounds: Bounds,
    cut: Cut,
    /// What it is called when this body should have gone on.
    silent: fn() -> ProxyError,
    /// The reader waits for more. Before it did, nobody was silent but itself.
    waiting: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// The bound that is reached, as what ends the body; none: neither.
    fn reached(&self) -> Option<BodyError> {
        let now = Instant::now();
        if self.bounds.is_late(now) {
            return Some(self.cut.because(|| ProxyError::Deadline));
        }
        let idle = self.bounds.is_idle(now);
        idle.then(|| self.cut.because(self.silent))
    }

    fn poll_bounds(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        while let Some(next) = self.bounds.next() {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(next)));
            ready!(timer.as_mut().poll(cx));
            if let Some(error) = self.reached() {
                return Poll::Ready(error);
            }
            let then = next.max(self.bounds.next().unwrap_or(next));
            if let Some(timer) = &mut self.timer {
                timer.as_mut().reset(then);
            }
        }
        Poll::Pending
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            // Whoever is cut on the other side of the exchange breaks this one, too.
            let broke = self.waiting && matches!(frame, Some(Err(_)));
            if let Some(error) = broke.then(|| self.reached()).flatten() {
                return Poll::Ready(Some(Err(error)));
            }
            self.waiting = false;
            self.bounds.touch();
            return Poll::Ready(frame);
        }
        if !self.waiting {
            self.waiting = true;
            self.bounds.touch();
        }
        self.poll_bounds(cx).map(|error| Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::{
        sync::mpsc,
        time::{Instant, sleep},
    };

    use super::Bounds;
    use crate::body::Body;

    const SECOND: Duration = Duration::from_secs(1);

    fn channel() -> (mpsc::Sender<Bytes>, Body) {
        let (sender, mut receiver) = mpsc::channel(1);
        let frames = futures_util::stream::poll_fn(move |cx| {
            let polled = receiver.poll_recv(cx);
            polled.map(|data| data.map(|data: Bytes| Ok::<_, std::io::Error>(Frame::data(data))))
        });
        (sender, Body::new(StreamBody::new(frames)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_at_the_deadline_and_says_so() {
        let (_sender, body) = channel();
        let began = Instant::now();
        let mut body = Bounds::new(Some(began + SECOND), None).hold_download(body);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("deadline"), "{error}");
        assert!(began.elapsed() < 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_body_and_words_do_not() {
        let (sender, body) = channel();
        let began = Instant::now();
        let mut body = Bounds::new(None, Some(SECOND)).hold_download(body);
        let speaking = async {
            for _ in 0..5 {
                sleep(SECOND * 3 / 4).await;
                sender.send(Bytes::from_static(b"x")).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let listening = async {
            let mut pieces = 0;
            while let Some(Ok(_)) = body.frame().await {
                pieces += 1;
            }
            pieces
        };
        tokio::select! {
            () = speaking => unreachable!(),
            pieces = listening => assert_eq!(pieces, 5),
        }
        assert!(began.elapsed() >= SECOND * 19 / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_listens_is_not_idle_while_the_other_speaks() {
        let bounds = Bounds::new(None, Some(SECOND));
        let ((_silent, upload), (speaker, download)) = (channel(), channel());
        let mut upload = bounds.hold_download(upload);
        let mut download = bounds.hold_download(download);
        let speaking = async {
            for _ in 0..4 {
                sleep(SECOND / 2).await;
                speaker.send(Bytes::from_static(b"x")).await.unwrap();
                download.frame().await.unwrap().unwrap();
            }
            Instant::now()
        };
        let (last, ended) = tokio::join!(speaking, async {
            upload.frame().await.unwrap().unwrap_err();
            Instant::now()
        });
        assert!(
            ended >= last + SECOND,
            "a second after the last word of either"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_makes_nobody_idle() {
        let (sender, body) = channel();
        let mut body = Bounds::new(None, Some(SECOND)).hold_download(body);
        sender.send(Bytes::from_static(b"x")).await.unwrap();
        body.frame().await.unwrap().unwrap();
        sleep(SECOND * 60).await;
        let (frame, ()) = tokio::join!(body.frame(), async {
            sleep(SECOND / 2).await;
            sender.send(Bytes::from_static(b"y")).await.unwrap();
        });
        frame.unwrap().unwrap();
    }
}
