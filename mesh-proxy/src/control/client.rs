//! JSON over HTTP/1.1 to the console, one connection a call: calls are rare.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use mesh_telemetry::task;
use serde::Serialize;
use tokio::net::TcpStream;

/// Why the stream of snapshots is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// There is nobody.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// It answered, but not 200.
    #[error("{path} was answered with {status}")]
    Refused {
        path: &'static str,
        status: StatusCode,
    },
    /// Neither a snapshot nor a heartbeat came.
    #[error("silence for {0:?}")]
    Silent(Duration),
    /// A line is longer than any snapshot.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// The message to the console could not be written.
    #[error("the message could not be written: {0}")]
    Message(String),
    /// The console closed the stream.
    #[error("the stream ended")]
    Ended,
}

/// Where the console is.
#[derive(Clone)]
pub(super) struct Console {
    /// `host:port`.
    authority: String,
    /// Path of the base URL, without the last `/`.
    base: String,
}

impl Console {
    /// Reads `http://host:port/base`.
    pub(super) fn at(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let host = uri.host()?;
        Some(Self {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Posts a message; the answer must be a success.
    pub(super) async fn post<T: Serialize + Sync>(
        &self,
        path: &'static str,
        message: &T,
    ) -> Result<Response<Incoming>, ControlError> {
        let request = self.request(path, message)?;
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(ControlError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        task::spawn("control_connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "control connection ended");
            }
        });
        let response = sender.send_request(request).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(ControlError::Refused { path, status }),
        }
    }

    fn request<T: Serialize>(
        &self,
        path: &str,
        message: &T,
    ) -> Result<Request<Full<Bytes>>, ControlError> {
        let json = serde_json::to_vec(message)
            .map_err(|error| ControlError::Message(error.to_string()))?;
        Request::post(format!("{}{path}", self.base))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(json.into()))
            .map_err(|error| ControlError::Message(error.to_string()))
    }
}
