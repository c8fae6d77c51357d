//! HTTP over loopback for the command itself: one connection a request.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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

async fn exchange(call: Call<'_>) -> anyhow::Result<(StatusCode, Bytes)> {
    let authority = call.url.authority().context("the URL names no host")?;
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
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
