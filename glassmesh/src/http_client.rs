//! HTTP over loopback for the command itself: one connection a request.

use std::time::Duration;

use anyhow::Context as _;
use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use mesh_telemetry::task;
use tokio::{net::TcpStream, task::JoinHandle};

/// Largest answer that is read: a trace of tens of thousands of spans.
const MOST_BYTES: usize = 64 << 20;

/// A request with its body.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(call: Call<'_>) -> anyhow::Result<(StatusCode, Bytes)> {
    let timeout = call.timeout;
    tokio::time::timeout(timeout, exchange(call))
        .await
        .with_context(|| format!("no answer within {timeout:?}"))?
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

async fn connect(url: &Uri) -> anyhow::Result<(Sender, Connection)> {
    let authority = url.authority().context("the URL names no host")?;
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port)).await?;
    Ok(http1::handshake(TokioIo::new(stream)).await?)
}

async fn exchange(call: Call<'_>) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = connect(call.url).await?;
    let request = request(&call)?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?;
        anyhow::Ok((status, body.to_bytes()))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    // The connection is driven here and ends with the exchange: nothing is left behind.
    tokio::select! {
        answer = &mut exchange => answer,
        end = &mut connection => match end {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}

/// Lines of an answer that goes on; the connection ends with it.
pub(crate) struct Lines {
    body: Incoming,
    rest: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Lines {
    /// The next line that is not empty.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.rest) {
                let line = self.rest.split_to(end + 1).freeze();
                if end > 0 {
                    return Ok(line.slice(..end));
                }
            }
            let frame = self.body.frame().await.context("the stream has ended")??;
            self.rest
                .extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
    }
}

/// Sends a request and gives its answer line by line.
pub(crate) async fn lines(call: Call<'_>) -> anyhow::Result<(StatusCode, Lines)> {
    let timeout = call.timeout;
    let opening = async {
        let (mut sender, connection) = connect(call.url).await?;
        let connection = task::spawn("http_lines", async move {
            // An end that is none shows in the body.
            let _ = connection.await;
        });
        let response = sender.send_request(request(&call)?).await?;
        let status = response.status();
        let lines = Lines {
            body: response.into_body(),
            rest: BytesMut::new(),
            connection,
        };
        anyhow::Ok((status, lines))
    };
    tokio::time::timeout(timeout, opening)
        .await
        .with_context(|| format!("no answer within {timeout:?}"))?
}

fn request(call: &Call<'_>) -> anyhow::Result<Request<Full<Bytes>>> {
    let target = call.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Full::new(Bytes::from(call.body.clone())));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = target.parse()?;
    *request.headers_mut() = call.headers.clone();
    let host = call
        .url
        .authority()
        .map_or("", |authority| authority.as_str());
    request
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_str(host)?);
    Ok(request)
}
