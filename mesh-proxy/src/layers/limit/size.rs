//! The size of a request's body: refused at once when its length is known, else cut
//! where it goes over.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    body::{Body, BodyError},
    call::Routed,
    error::ProxyError,
    layers::cut::Cut,
};

/// Holds the request to its route's `max_body`. What is returned knows why a body was
/// cut; none: it cannot be.
pub(super) fn bound(routed: &mut Routed) -> Result<Option<Cut>, ProxyError> {
    let Some(limit) = routed.route.max_body else {
        return Ok(None);
    };
    let hint = routed.request.body().size_hint();
    if hint.lower() > limit {
        return Err(ProxyError::BodyTooLarge { limit });
    }
    if hint.upper().is_some_and(|upper| upper <= limit) {
        return Ok(None);
    }
    let cut = Cut::default();
    let body = std::mem::take(routed.request.body_mut());
    *routed.request.body_mut() = Body::new(Bounded {
        body,
        limit,
        left: limit,
        cut: cut.clone(),
    });
    Ok(Some(cut))
}

struct Bounded {
    body: Body,
    limit: u64,
    left: u64,
    cut: Cut,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let data = polled.as_ref().and_then(|polled| polled.as_ref().ok());
        let bytes = data.and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        let Some(left) = self.left.checked_sub(bytes) else {
            let limit = self.limit;
            let error = self.cut.because(|| ProxyError::BodyTooLarge { limit });
            return Poll::Ready(Some(Err(error)));
        };
        self.left = left;
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
