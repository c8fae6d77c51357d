//! The body of an HTTP/2 request. Its stream lives on after the answer until all of the
//! body has come; that has an end. (On HTTP/1 the connection's clock sees to it.)

use std::{
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::wire::PATIENCE;
use crate::body::BodyError;

/// What a body must know about its answer.
#[derive(Debug, Default)]
pub(super) struct Answered {
    is_answered: AtomicBool,
    upload: AtomicWaker,
}

impl Answered {
    /// The answer is complete, or was given up.
    pub(super) fn set(&self) {
        self.is_answered.store(true, SeqCst);
        self.upload.wake();
    }
}

/// See the module.
pub(super) struct Upload {
    body: Incoming,
    answered: Arc<Answered>,
    /// Runs from the end of the answer on.
    end: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(body: Incoming, answered: &Arc<Answered>) -> Self {
        Self {
            body,
            answered: Arc::clone(answered),
            end: None,
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_none() {
            self.answered.upload.register(cx.waker());
            if !self.answered.is_answered.load(SeqCst) {
                return Poll::Pending;
            }
        }
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        end.as_mut().poll(cx)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let is_answered = self.end.is_some() || self.answered.is_answered.load(SeqCst);
        if is_answered && self.poll_end(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::new(Outlived))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::new)));
        }
        self.poll_end(cx)
            .map(|()| Some(Err(BodyError::new(Outlived))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the upload went on for too long after its answer")]
struct Outlived;
