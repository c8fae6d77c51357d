//! One probe, over a connection of its own: it finds out whether connections can be
//! made, too.

use std::io;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{super::tasks::Owned, grpc};
use crate::{cluster::Endpoint, config::Probe};

/// Who asks.
const USER_AGENT: &str = "mesh-proxy-health-check";

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
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
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => "refused",
            Self::Connect(_) | Self::Exchange(_) | Self::Request(_) => "error",
            Self::Status(_) | Self::NotServing(_) => "unhealthy",
            Self::Timeout => "timeout",
        }
    }
}

/// Asks an endpoint.
pub(super) async fn send(probe: &Probe, endpoint: &Endpoint) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(endpoint.address()).await?;
    match probe {
        Probe::Tcp(_) => Ok(()),
        Probe::Http(path) => {
            let request = Request::get(path)
                .header(header::HOST, endpoint.cluster())
                .header(header::USER_AGENT, USER_AGENT)
                .header(header::CONNECTION, "close")
                .body(Full::default())?;
            let (response, _connection) = http1(stream, request).await?;
            if response.status().is_success() {
                Ok(())
            } else {
                Err(ProbeError::Status(response.status()))
            }
        }
        Probe::Grpc(service) => {
            let uri = format!("http://{}{}", endpoint.cluster(), grpc::PATH);
            let request = Request::post(uri)
                .header(header::USER_AGENT, USER_AGENT)
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers")
                .body(Full::new(grpc::request(service)))?;
            let (response, _connection) = http2(stream, request).await?;
            serving(response).await
        }
    }
}

/// The connection lives until the answer is dropped.
type Answer = (Response<Incoming>, Owned);

async fn http1(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Answer, ProbeError> {
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = Owned::spawn("health_connection", async move {
        let _ = connection.await; // the answer says what matters
    });
    Ok((sender.send_request(request).await?, connection))
}

async fn http2(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Answer, ProbeError> {
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
