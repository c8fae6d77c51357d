//! Is a process ready? Asked of its health listener, over and over.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, Method, StatusCode, Uri};

use crate::http_client::{self, Call};

/// Short: the start of a mesh is made of such pauses.
const PAUSE: Duration = Duration::from_millis(20);

/// Resolves when `GET /health/ready` answers 200.
pub(crate) async fn wait(address: SocketAddr) {
    let Ok(url) = format!("http://{address}/health/ready").parse::<Uri>() else {
        return;
    };
    while !is_ready(&url).await {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn is_ready(url: &Uri) -> bool {
    let call = Call {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(1),
    };
    let answer = http_client::send(call).await;
    answer.is_ok_and(|(status, _)| status == StatusCode::OK)
}
