//! What stands behind the proxies: an answer of 1 KiB as cheap as sockets allow, over
//! HTTP/1.1 on one port and HTTP/2 by prior knowledge on another.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Body of every answer.
pub(crate) const BODY: [u8; 1024] = {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    let mut body = [0; 1024];
    let mut at = 0;
    while at < body.len() {
        body[at] = LETTERS[at % LETTERS.len()];
        at += 1;
    }
    body
};

/// Both servers; they end when this is dropped.
pub(crate) struct Upstream {
    /// Port of HTTP/1.1, on every address of loopback.
    pub(crate) http1: SocketAddr,
    /// Port of HTTP/2.
    pub(crate) http2: SocketAddr,
    _servers: JoinSet<()>,
}

impl Upstream {
    /// Must be called in a `LocalSet`.
    pub(crate) async fn start() -> io::Result<Self> {
        let mut servers = JoinSet::new();
        // All of 127.0.0.0/8 reaches it: a thousand endpoints need no thousand sockets.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let http1 = (Ipv4Addr::LOCALHOST, listener.local_addr()?.port()).into();
        servers.spawn_local(serve(listener, one_http1));
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let http2 = (Ipv4Addr::LOCALHOST, listener.local_addr()?.port()).into();
        servers.spawn_local(serve(listener, one_http2));
        Ok(Self {
            http1,
            http2,
            _servers: servers,
        })
    }
}

async fn serve<F>(listener: TcpListener, one: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let served = one(stream);
                connections.spawn_local(async move {
                    let _whoever_goes_away = served.await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn one_http1(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    let answer = [head.as_bytes(), &BODY].concat();
    let end = memmem::Finder::new(b"\r\n\r\n");
    let mut buffer = Vec::with_capacity(8192);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // Requests have no body: one head after the other.
        while let Some(at) = end.find(&buffer) {
            buffer.drain(..at + 4);
            stream.write_all(&answer).await?;
        }
    }
}

async fn one_http2(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1000)
        .handshake(stream)
        .await
        .map_err(io::Error::other)?;
    while let Some(accepted) = connection.accept().await {
        let (_, mut respond) = accepted.map_err(io::Error::other)?;
        let head = http::Response::builder()
            .header("content-type", "text/plain")
            .header("content-length", BODY.len())
            .body(())
            .map_err(io::Error::other)?;
        let mut body = respond
            .send_response(head, false)
            .map_err(io::Error::other)?;
        body.send_data(Bytes::from_static(&BODY), true)
            .map_err(io::Error::other)?;
    }
    Ok(())
}
