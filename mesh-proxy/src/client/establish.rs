//! One shared connection for all who ask for it at once: the first has it made, the
//! others wait. It is made by a task, so that a caller who leaves takes nothing along.

use std::{io, sync::Arc};

use mesh_telemetry::task;
use tokio::sync::watch;

use super::{
    Pool, Upstream, Wanted,
    connect::Connection,
    pool::{Held, Place, Stream, Way},
};
use crate::error::ProxyError;

/// Tells how the connecting went, to as many as ask.
pub(super) type Outcome = watch::Receiver<Option<Result<(), Arc<ProxyError>>>>;

/// A connection for one request.
pub(super) enum Lane {
    Http1(Held),
    Http2(Stream),
}

/// A lane, and whether it was there before it was asked for.
pub(super) struct Acquired {
    pub(super) lane: Lane,
    pub(super) pooled: bool,
}

impl Upstream {
    /// A connection that can take a request.
    pub(super) async fn acquire(&self, wanted: Wanted) -> Result<Acquired, ProxyError> {
        match wanted {
            Wanted::Http1 => self.http1_lane().await,
            Wanted::Either if self.pool().speaks_http1() => self.http1_lane().await,
            Wanted::Http2 | Wanted::Either => self.shared_lane(wanted).await,
        }
    }

    async fn http1_lane(&self) -> Result<Acquired, ProxyError> {
        if let Some(held) = self.pool().take() {
            return Ok(Acquired::new(Lane::Http1(held), true));
        }
        let place = self.pool().place().ok_or_else(|| self.full())?;
        match self.connect(Wanted::Http1, place).await? {
            Connection::Http1(held) => Ok(Acquired::new(Lane::Http1(held), false)),
            Connection::Http2(_) => Err(self.interrupted()), // was not on offer
        }
    }

    async fn shared_lane(&self, wanted: Wanted) -> Result<Acquired, ProxyError> {
        let mut pooled = true;
        loop {
            let (connects_for, outcome) = match self.pool().stream() {
                Way::Stream(stream) => return Ok(Acquired::new(Lane::Http2(stream), pooled)),
                Way::Wait(connects_for, outcome) => (connects_for, outcome),
                Way::Connect(place) => (wanted, self.establish(wanted, place)),
                Way::Full => return Err(self.full()),
            };
            pooled = false;
            let ended = self.await_outcome(outcome).await;
            if connects_for == wanted {
                ended?; // else what failed for others may do for this one
            }
            if wanted == Wanted::Either && self.pool().speaks_http1() {
                return self.http1_lane().await;
            }
        }
    }

    async fn await_outcome(&self, mut outcome: Outcome) -> Result<(), ProxyError> {
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(again(error, &self.endpoint().address_handle())),
            Ok(None) | Err(_) => Err(self.interrupted()),
        }
    }

    fn establish(&self, wanted: Wanted, place: Place) -> Outcome {
        let (tell, outcome) = watch::channel(None);
        self.pool().connecting(wanted, outcome.clone());
        let (upstream, pool) = (self.clone(), Arc::clone(self.pool()));
        task::spawn("upstream_connect", async move {
            let over = Connecting(pool);
            let result = upstream.connect(wanted, place).await;
            let result = result.map(|connection| over.0.add(connection));
            drop(over); // before anybody looks again
            let _ = tell.send(Some(result.map_err(Arc::new))); // nobody may be left
        });
        outcome
    }

    fn full(&self) -> ProxyError {
        ProxyError::ConnectionLimit {
            endpoint: self.endpoint().address_handle(),
        }
    }

    fn interrupted(&self) -> ProxyError {
        ProxyError::Connect {
            endpoint: self.endpoint().address_handle(),
            cause: io::Error::other("connecting was interrupted"),
        }
    }
}

impl Acquired {
    fn new(lane: Lane, pooled: bool) -> Self {
        Self { lane, pooled }
    }
}

impl Pool {
    fn add(&self, connection: Connection) {
        match connection {
            Connection::Http1(held) => {
                self.chose_http1(&held);
                self.put(held);
            }
            Connection::Http2(shared) => self.share(shared),
        }
    }
}

/// Whatever becomes of the task, nobody waits for it for ever.
struct Connecting(Arc<Pool>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.connected();
    }
}

/// The same failure for one more who waited.
fn again(error: &ProxyError, endpoint: &Arc<str>) -> ProxyError {
    match error {
        ProxyError::Connect { cause, .. } => ProxyError::Connect {
            endpoint: Arc::clone(endpoint),
            cause: io::Error::new(cause.kind(), cause.to_string()),
        },
        ProxyError::ConnectTimeout { after, .. } => ProxyError::ConnectTimeout {
            endpoint: Arc::clone(endpoint),
            after: *after,
        },
        ProxyError::TlsHandshake { cause, .. } => ProxyError::TlsHandshake {
            endpoint: Arc::clone(endpoint),
            cause: io::Error::other(cause.to_string()),
        },
        ProxyError::TlsIdentity { cause, .. } => ProxyError::TlsIdentity {
            endpoint: Arc::clone(endpoint),
            cause: io::Error::other(cause.to_string()),
        },
        other => ProxyError::Connect {
            endpoint: Arc::clone(endpoint),
            cause: io::Error::other(other.to_string()),
        },
    }
}
