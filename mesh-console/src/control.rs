//! The control protocol: a stream of snapshots to each sidecar, its
//! acknowledgements, and its reports of what chaos rules met.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, StatusCode, header};
use mesh_proxy::config::{Ack, Registration, Report};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ConsoleError, http::body::Strict, registry::Hold, shared::Shared, snapshots::Published,
};

/// Pause between empty lines that say "still here"; a sidecar gives up after
/// three of them are missing.
const HEARTBEAT: Duration = Duration::from_secs(2);

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/control/v1/subscribe", post(subscribe))
        .route("/control/v1/ack", post(acknowledge))
        .route("/control/v1/report", post(report))
}

async fn subscribe(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Strict(registration): Strict<Registration>,
) -> Result<Response, ConsoleError> {
    let hold = shared.registry.register(registration, peer.ip())?;
    let lines = Lines::new(hold, shared.chaos.watch(), shared.shutdown.clone());
    let mut response = Body::from_stream(lines.into_stream()).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    Ok(response)
}

async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    Strict(ack): Strict<Ack>,
) -> Result<(StatusCode, Json<serde_json::Value>), ConsoleError> {
    shared.registry.acknowledge(ack)?;
    Ok((StatusCode::OK, Json(serde_json::json!({}))))
}

async fn report(
    State(shared): State<Arc<Shared>>,
    Strict(report): Strict<Report>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    let report = shared.registry.report(report)?;
    shared.receipts.take(&report, &shared.chaos.current().rules);
    Ok(Json(serde_json::json!({})))
}

/// One sidecar's stream.
struct Lines {
    hold: Hold,
    published: watch::Receiver<Arc<Published>>,
    sent: Option<u64>,
    heartbeat: Interval,
    shutdown: CancellationToken,
}

impl Lines {
    fn new(
        hold: Hold,
        mut published: watch::Receiver<Arc<Published>>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What is in force counts as a change: the first snapshot goes out at once.
        published.mark_changed();
        Self {
            hold,
            published,
            sent: None,
            heartbeat,
            shutdown,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut lines| async move {
            let line = lines.next().await?;
            Some((Ok(line), lines))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                () = self.hold.replaced.cancelled() => return None,
                changed = self.published.changed() => {
                    changed.ok()?;
                    if let Some(line) = self.unsent() {
                        return Some(line);
                    }
                }
                _ = self.heartbeat.tick() => return Some(Bytes::from_static(b"\n")),
            }
        }
    }

    /// The service's snapshot, unless it was the last one sent.
    fn unsent(&mut self) -> Option<Bytes> {
        let published = Arc::clone(&self.published.borrow_and_update());
        let compiled = published.of(self.hold.service())?;
        (self.sent.replace(compiled.revision) != Some(compiled.revision))
            .then(|| compiled.line.clone())
    }
}
