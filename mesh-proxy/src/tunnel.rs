//! Connections that speak something else after `101 Switching Protocols`, or after the
//! answer to `CONNECT`: bytes go both ways as they come, and the request goes on until
//! the last of them.
//!
//! The trick is that the tunnel is the body of the answer: what the layers hang on a body
//! (records, slots, permits) so lasts as long as the tunnel does.

mod copy;

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mesh_telemetry::{proxy, task};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

use crate::{
    body::{Body, BodyError, Response},
    error::ProxyError,
    server::Drain,
};
use copy::{Ended, copy};

/// One end of a tunnel.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// The far half of a tunnel, in the extensions of an answer.
#[derive(Clone)]
pub(crate) struct Tunnel(Arc<Mutex<Option<Half>>>);

struct Half {
    opening: Opening,
    terms: Terms<Box<dyn Send>>,
    /// Told how the tunnel ended.
    over: oneshot::Sender<Result<(), BodyError>>,
}

/// What holds for a tunnel.
pub(crate) struct Terms<Kept> {
    /// Longest silence; none: any.
    pub(crate) idle: Option<Duration>,
    /// Counts it and its bytes.
    pub(crate) meter: proxy::Tunnel,
    /// Freed with it: the place of a connection, the permit of an endpoint.
    pub(crate) kept: Kept,
}

/// Makes an answer the beginning of a tunnel. Its far end is what `opening` becomes.
pub(crate) fn begin(
    head: http::response::Parts,
    opening: impl Future<Output = io::Result<Box<dyn Duplex>>> + Send + 'static,
    terms: Terms<impl Send + 'static>,
) -> Response {
    let (over, until_told) = oneshot::channel();
    let half = Half {
        opening: Box::pin(opening),
        terms: Terms {
            idle: terms.idle,
            meter: terms.meter,
            kept: Box::new(terms.kept),
        },
        over,
    };
    let body = Body::new(UntilEnd(Some(until_told)));
    let mut response = Response::from_parts(head, body);
    let tunnel = Tunnel(Arc::new(Mutex::new(Some(half))));
    response.extensions_mut().insert(tunnel);
    response
}

/// A connection that was upgraded, as one end.
pub(crate) async fn upgraded(upgrade: OnUpgrade) -> io::Result<Box<dyn Duplex>> {
    let connection = upgrade.await.map_err(io::Error::other)?;
    Ok(Box::new(TokioIo::new(connection)))
}

/// Joins the caller's connection to the far half, if the answer begins a tunnel. The
/// answer goes on without a body; what was hung on it ends with the tunnel.
pub(crate) fn join(response: &mut Response, caller: Option<OnUpgrade>, drain: &Drain) {
    let Some(tunnel) = response.extensions_mut().remove::<Tunnel>() else {
        return;
    };
    let half = tunnel
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let body = std::mem::take(response.body_mut());
    let Some((half, caller)) = half.zip(caller) else {
        return; // nobody to tunnel for
    };
    let give_up = drain.give_up.clone();
    let run = async move {
        let Half {
            opening,
            terms: Terms { idle, meter, kept },
            over,
        } = half;
        let ended = tokio::select! {
            ended = open_and_copy(caller, opening, idle, &meter) => ended,
            () = give_up.cancelled() => Ended::Failed(BodyError::new(ProxyError::Drained)),
        };
        drop((meter, kept));
        let result = match ended {
            Ended::Complete => Ok(()),
            Ended::Failed(error) => Err(error),
            Ended::CallerLeft => return, // with the body, unread
        };
        let _ = over.send(result); // the body is right here
        let _ = body.collect().await;
    };
    task::spawn("tunnel", drain.connections.track_future(run));
}

async fn open_and_copy(
    caller: OnUpgrade,
    opening: Opening,
    idle: Option<Duration>,
    meter: &proxy::Tunnel,
) -> Ended {
    let Ok(near) = upgraded(caller).await else {
        return Ended::CallerLeft;
    };
    match opening.await {
        Ok(far) => copy(near, far, idle, meter).await,
        Err(error) => Ended::Failed(BodyError::new(error)),
    }
}

/// A body without bytes that ends with the tunnel.
struct UntilEnd(Option<oneshot::Receiver<Result<(), BodyError>>>);

impl http_body::Body for UntilEnd {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(ended) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let result = ready!(Pin::new(ended).poll(cx));
        self.0 = None;
        // Nobody left to tell: no tunnel came of it.
        Poll::Ready(result.ok().and_then(Result::err).map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
