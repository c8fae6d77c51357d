//! A body under the works of one rule.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::{
    Works,
    tools::{Next, Tools},
};
use crate::body::{Body, BodyError};

type Polled = Option<Result<Frame<Bytes>, BodyError>>;

/// Passes pieces of the frames below when their time has come.
pub(super) struct Worked {
    body: Body,
    /// Taken from the body, and not passed on yet.
    held: Bytes,
    /// None: the rule is over, or the body has ended.
    tools: Option<Tools>,
    broken: bool,
}

impl Worked {
    pub(super) fn new(body: Body, works: Works) -> Self {
        let tools = Tools::new(works, body.size_hint().exact());
        Self {
            body,
            held: Bytes::new(),
            tools: Some(tools),
            broken: false,
        }
    }

    /// The body as it is, once the rule has let go of it.
    fn poll_unharmed(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        if self.held.is_empty() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.held)))))
    }

    /// Sees to it that there is something to work on; what needs no work comes back.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        let Some(tools) = &mut self.tools else {
            return Poll::Ready(None);
        };
        let more_is_sure = self.body.size_hint().lower() > 0;
        if !self.held.is_empty() || (tools.is_cut() && more_is_sure) {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(Ok(frame)) = polled else {
            self.tools = None;
            return Poll::Ready(Some(polled));
        };
        Poll::Ready(match frame.into_data() {
            Ok(data) if !data.is_empty() => {
                tools.begin();
                self.held = data;
                None
            }
            Ok(nothing) => Some(Some(Ok(Frame::data(nothing)))),
            Err(trailers) => Some(Some(Ok(trailers))),
        })
    }

    fn break_off(&mut self) -> BodyError {
        self.broken = true;
        self.held.clear();
        let error = self.tools.take().map(Tools::break_off);
        // What is below ends now, and knows why: attempts finish before their request does.
        drop(std::mem::take(&mut self.body));
        error.unwrap_or_else(|| BodyError::new(std::io::Error::other("broken off")))
    }
}

impl http_body::Body for Worked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let this = &mut *self;
        if this.tools.as_mut().is_some_and(|tools| tools.is_over(cx)) {
            this.tools = None;
        }
        if let Some(passing) = ready!(this.poll_held(cx)) {
            return Poll::Ready(passing);
        }
        let Some(tools) = &mut this.tools else {
            return this.poll_unharmed(cx);
        };
        let next = ready!(tools.poll(this.held.len(), cx));
        Poll::Ready(Some(match next {
            Next::Piece(length) => {
                let piece = this.held.split_to(length);
                Ok(Frame::data(tools.work_on(piece)))
            }
            Next::Break => Err(this.break_off()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.broken || (self.held.is_empty() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (below, held) = (self.body.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(below.lower() + held);
        if let Some(upper) = below.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
