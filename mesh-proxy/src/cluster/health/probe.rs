//! One probe, over a connection of its own: it finds out whether connections can be
//! made, too.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{super::tasks::Owned, grpc};
use crate::{
    client::Upstream,
    cluster::Endpoint,
    config::{Probe, Protocol},
    error::ProxyError,
    tls::{Alpn, Stream},
};

/// Who asks.
const USER_AGENT: &str = "mesh-proxy-health-check";

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ProxyError),
    /// The connection broke, or something else than HTTP came back.
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    /// HTTP said no.
    #[error("answered {0}, expected 200 to 299")]
    Status(StatusCode),
    /// gRPC said no.
    #[error("answered {0}, expected SERVING")]
    NotServing(&'static str),
    /// What cannot be asked.
    #[error("cannot be asked: {0}")]
    Request(#[from] http::Error),
    /// Too late.
    #[error("no answer in time")]
    Timeout,
}

impl ProbeError {
    /// Bounded code for metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Connect(error) if error.reason() == "connection_refused" => "refused",
            Self::Connect(_) | Self::Exchange(_) | Self::Request(_) => "error",
            Self::Status(_) | Self::NotServing(_) => "unhealthy",
            Self::Timeout => "timeout",
        }
    }
}

/// Asks an endpoint, in the protocol that its cluster speaks.
pub(super) async fn send(
    probe: &Probe,
    protocol: Protocol,
    endpoint: &Arc<Endpoint>,
) -> Result<(), ProbeError> {
    let upstream = Upstream::new(Arc::clone(endpoint), 0);
    match probe {
        Probe::Tcp(_) => {
            upstream.tcp().await?;
            Ok(())
        }
        Probe::Http(path) => {
            let (response, _connection) = if protocol == Protocol::Http2 {
                let request = Request::get(format!("http://{}{path}", endpoint.cluster()));
                http2(upstream.carrier(Alpn::H2).await?, asked(request)?).await?
            } else {
                let request = Request::get(path).header(header::HOST, endpoint.cluster());
                let request = request.header(header::CONNECTION, "close");
                http1(upstream.carrier(Alpn::Http1).await?, asked(request)?).await?
            };
            if response.status().is_success() {
                Ok(())
            } else {
                Err(ProbeError::Status(response.status()))
            }
        }
        Probe::Grpc(service) => {
            let request = Request::post(format!("http://{}{}", endpoint.cluster(), grpc::PATH))
                .header(header::USER_AGENT, USER_AGENT)
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers")
                .body(Full::new(grpc::request(service)))?;
            let (response, _connection) = http2(upstream.carrier(Alpn::H2).await?, request).await?;
            serving(response).await
        }
    }
}

fn asked(request: http::request::Builder) -> http::Result<Request<Full<Bytes>>> {
    request
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::default())
}

/// The connection lives until the answer is dropped.
type Answer = (Response<Incoming>, Owned);

async fn http1(stream: Stream, request: Request<Full<Bytes>>) -> Result<Answer, ProbeError> {
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = Owned::spawn("health_connection", async move {
        let _ = connection.await; // the answer says what matters
    });
    Ok((sender.send_request(request).await?, connection))
}

async fn http2(stream: Stream, request: Request<Full<Bytes>>) -> Result<Answer, ProbeError> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await?;
    let connection = Owned::spawn("health_connection", async move {
        let _ = connection.await; // the answer says what matters
    });
    Ok((sender.send_request(request).await?, connection))
}

async fn serving(response: Response<Incoming>) -> Result<(), ProbeError> {
    if response.status() != StatusCode::OK {
        return Err(ProbeError::Status(response.status()));
    }
    let refused = grpc::refusal(response.headers());
    let body = response.into_body().collect().await?;
    let refused = refused.or_else(|| body.trailers().and_then(grpc::refusal));
    match refused {
        Some(status) => Err(ProbeError::NotServing(status)),
        None => match grpc::status(&body.to_bytes()) {
            "SERVING" => Ok(()),
            other => Err(ProbeError::NotServing(other)),
        },
    }
}
