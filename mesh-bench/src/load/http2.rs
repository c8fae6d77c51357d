//! HTTP/2 by prior knowledge: many requests over one connection.

use std::{net::SocketAddr, rc::Rc};

use anyhow::{bail, ensure};
use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::ANSWER;
use crate::upstream::BODY;

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    request: http::Request<()>,
    _connection: Rc<JoinSet<()>>,
}

impl Client {
    /// Must be called in a `LocalSet`.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 24)
            .handshake(stream)
            .await?;
        let mut task = JoinSet::new();
        task.spawn_local(async move {
            let _its_requests_fail_then = connection.await;
        });
        let request = http::Request::get("http://echo/items/17")
            .header("user-agent", "mesh-bench/1")
            .header("accept", "application/json, text/plain, */*")
            .header("accept-encoding", "identity")
            .body(())?;
        Ok(Self {
            sender,
            request,
            _connection: Rc::new(task),
        })
    }

    /// One request and its whole answer.
    pub(crate) async fn exchange(&mut self) -> anyhow::Result<()> {
        match timeout(ANSWER, self.answer()).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {ANSWER:?}"),
        }
    }

    async fn answer(&mut self) -> anyhow::Result<()> {
        let mut sender = self.sender.clone().ready().await?;
        let (answer, _) = sender.send_request(self.request.clone(), true)?;
        let (head, body) = answer.await?.into_parts();
        ensure!(head.status == 200, "status {}", head.status);
        read(body).await
    }
}

async fn read(mut body: RecvStream) -> anyhow::Result<()> {
    let mut at = 0;
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        ensure!(BODY.get(at..at + bytes.len()) == Some(&bytes), "wrong body");
        at += bytes.len();
    }
    ensure!(at == BODY.len(), "an answer of {at} bytes");
    Ok(())
}
