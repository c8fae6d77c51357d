//! A running sidecar, asked through its admin API.

use std::{net::SocketAddr, time::Duration};

use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use crate::{config::Policy, error::RunError};

/// Time for the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer: as the largest snapshot of a console.
const LARGEST: usize = 16 << 20;

/// What `GET /config` says, as far as it is needed.
#[derive(Deserialize)]
struct InForce {
    service: String,
    policy: Policy,
}

/// Service and policy in force of the sidecar whose admin API listens there.
pub(super) async fn policy(address: SocketAddr) -> Result<(String, Policy), RunError> {
    let asked = timeout(PATIENCE, config(address)).await;
    let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
    let read = |body: Bytes| {
        serde_json::from_slice::<InForce>(&body)
            .map_err(|error| format!("its answer is not understood: {error}"))
    };
    match answer.and_then(read) {
        Ok(InForce { service, policy }) => Ok((service, policy)),
        Err(cause) => Err(RunError::Admin { address, cause }),
    }
}

async fn config(address: SocketAddr) -> Result<Bytes, String> {
    let stream = TcpStream::connect(address).await.map_err(told)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let request = Request::get("/config")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(told)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(told)?;
        if !response.status().is_success() {
            return Err(format!("it answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(told)
    };
    // Polled together: the connection lives exactly as long as the exchange.
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(told(error)),
        },
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "stands in `map_err`, which gives the error away"
)]
fn told(error: impl ToString) -> String {
    error.to_string()
}
