//! HTTP/1.1 over one kept connection.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::ANSWER;
use crate::upstream::BODY;

/// What every client sends: the fields that an ordinary client library sends.
const REQUEST: &[u8] = b"GET /items/17 HTTP/1.1\r\nhost: echo\r\nuser-agent: mesh-bench/1\r\n\
    accept: application/json, text/plain, */*\r\naccept-encoding: identity\r\n\r\n";
/// Most fields of an answer.
const FIELDS: usize = 32;

/// A connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// One request and its whole answer.
    pub(crate) async fn exchange(&mut self) -> anyhow::Result<()> {
        self.buffer.clear();
        self.stream.write_all(REQUEST).await?;
        match timeout(ANSWER, self.answer()).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {ANSWER:?}"),
        }
    }

    async fn answer(&mut self) -> anyhow::Result<()> {
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(
                read > 0,
                "the connection was closed before the answer's end"
            );
            if check(&self.buffer)? {
                return Ok(());
            }
        }
    }
}

/// Whether the whole answer is there; an error if it is wrong.
fn check(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(end) = head.parse(bytes)? else {
        return Ok(false);
    };
    let status = head.code.unwrap_or(0);
    if status != 200 {
        bail!("status {status}: {}", String::from_utf8_lossy(bytes).trim());
    }
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .context("an answer without Content-Length")?;
    ensure!(length.value == b"1024", "wrong length");
    let body = &bytes[end..];
    ensure!(body.len() <= BODY.len(), "bytes behind the answer");
    if body.len() < BODY.len() {
        return Ok(false);
    }
    ensure!(body == BODY, "wrong body");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::upstream::BODY;

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn only_the_right_answer_counts() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n";
        assert!(check(&answer(head, &BODY)).unwrap());
        assert!(!check(&answer(head, &BODY[..1000])).unwrap());
        assert!(!check(b"HTTP/1.1 200 O").unwrap());
        let mut wrong = BODY;
        wrong[500] = b'!';
        assert!(check(&answer(head, &wrong)).is_err());
        assert!(check(&answer(head, &[&BODY[..], b"x"].concat())).is_err());
        let refused = "HTTP/1.1 503 Busy\r\ncontent-length: 1024\r\n\r\n";
        assert!(check(&answer(refused, &BODY)).is_err());
    }
}
