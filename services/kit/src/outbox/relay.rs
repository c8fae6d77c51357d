//! Makes the calls that wait in an outbox.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use mesh_telemetry::service::ShopEvent;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{CREATION_HEADER, Row, TOPIC_HEADER};
use crate::clock::now_ms;
use crate::database::Database;
use crate::error::Error;
use crate::peer::{Call, Peer};

/// Messages taken at once, and calls in flight at once.
const BATCH: i64 = 16;

/// How long a taken message is left to its relay, milliseconds: longer than a
/// call can take ([`crate::peer::CALL_TIMEOUT`], once for the answer and once
/// for its body), so that only a relay that died loses its messages to another.
const LEASE_MS: i64 = 30_000;

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: when a peer is back, its messages flow again this soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a relay looks without being woken: for messages that another
/// instance wrote or left behind.
const POLL: Duration = Duration::from_secs(1);

const TAKE: &str = "UPDATE outbox SET due_at_ms = ? + ?, attempts = attempts + 1 \
    WHERE id IN (SELECT id FROM outbox WHERE refused IS NULL AND peer = ? AND due_at_ms <= ? \
    ORDER BY due_at_ms LIMIT ?) \
    RETURNING id, message_id, topic, method, path, body, traceparent, attempts";
const DONE: &str = "DELETE FROM outbox WHERE id = ?";
const LATER: &str = "UPDATE outbox SET due_at_ms = ? WHERE id = ?";
const REFUSED: &str = "UPDATE outbox SET refused = ? WHERE id = ?";
const PENDING: &str = "SELECT count(*) FROM outbox WHERE refused IS NULL";

/// The outbox of a service: its table, and the bell that wakes its relays.
#[derive(Clone, Debug)]
pub struct Outbox {
    database: Database,
    bell: Arc<Notify>,
}

impl Outbox {
    /// The outbox in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            bell: Arc::default(),
        }
    }

    /// Tells the relays of this process that a message was committed.
    pub fn wake(&self) {
        self.bell.notify_waiters();
    }

    /// How many messages wait, for all peers.
    pub async fn pending(&self) -> Result<u64, Error> {
        let pending = sqlx::query_scalar::<_, i64>(PENDING).fetch_one(self.database.pool());
        let pending = mesh_telemetry::service::db("SELECT", "outbox", PENDING, pending).await?;
        Ok(u64::try_from(pending).unwrap_or(0))
    }

    /// The relay for one peer. Each peer has its own, so that one that is down
    /// does not hold up what others wait for.
    #[must_use]
    pub fn relay(&self, peer: Peer) -> Relay {
        Relay {
            outbox: self.clone(),
            peer,
        }
    }
}

/// Makes the calls to one peer.
#[derive(Debug)]
pub struct Relay {
    outbox: Outbox,
    peer: Peer,
}

impl Relay {
    /// Runs until `shutdown`; calls under way are ended first.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0_u32;
        while !shutdown.is_cancelled() {
            // Enabled before looking, so that no bell between looking and
            // waiting is missed.
            let mut bell = std::pin::pin!(self.outbox.bell.notified());
            bell.as_mut().enable();
            // While the peer fails, one message is enough to find out.
            let limit = if failures == 0 { BATCH } else { 1 };
            let pause = match self.round(limit).await {
                Ok(Round::Nothing) => Pause::UntilWoken(POLL),
                Ok(Round::Delivered) => {
                    failures = 0;
                    continue;
                }
                Ok(Round::Failed) | Err(_) => {
                    failures = failures.saturating_add(1);
                    Pause::For(backoff(failures))
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = pause.over(bell) => {}
            }
        }
    }

    async fn round(&self, limit: i64) -> Result<Round, Error> {
        let rows = self.take(limit).await.inspect_err(log)?;
        let empty = rows.is_empty();
        let calls = rows.into_iter().map(|row| self.handle(row));
        let delivered = join_all(calls).await;
        let pending = self.outbox.pending().await.inspect_err(log)?;
        mesh_telemetry::service::emit(ShopEvent::OutboxPending(pending));
        Ok(match delivered.iter().all(|delivered| *delivered) {
            true if empty => Round::Nothing,
            true => Round::Delivered,
            false => Round::Failed,
        })
    }

    async fn take(&self, limit: i64) -> Result<Vec<Row>, Error> {
        let now = now_ms();
        let take = sqlx::query_as::<_, Row>(TAKE)
            .bind(now)
            .bind(LEASE_MS)
            .bind(self.peer.name())
            .bind(now)
            .bind(limit)
            .fetch_all(self.outbox.database.pool());
        Ok(mesh_telemetry::service::db("UPDATE", "outbox", TAKE, take).await?)
    }

    /// Whether the peer answered, be it with a refusal.
    async fn handle(&self, row: Row) -> bool {
        let answer = self.deliver(&row).await;
        let answered = answer.is_ok() || answer.as_ref().is_err_and(Error::is_definite_refusal);
        let (operation, statement, query) = match answer {
            Ok(()) => ("DELETE", DONE, sqlx::query(DONE)),
            Err(error) if answered => {
                tracing::error!(topic = row.topic, message = row.message_id, %error, "message refused, it is kept but not repeated");
                let query = sqlx::query(REFUSED).bind(error.to_string());
                ("UPDATE", REFUSED, query)
            }
            Err(error) => {
                tracing::debug!(topic = row.topic, %error, "message not delivered, it will be repeated");
                let query = sqlx::query(LATER).bind(due_after(row.attempts));
                ("UPDATE", LATER, query)
            }
        };
        let settle = query.bind(row.id).execute(self.outbox.database.pool());
        // A message that cannot be settled comes again when its lease is over.
        let _ = mesh_telemetry::service::db(operation, "outbox", statement, settle)
            .await
            .inspect_err(|error| tracing::warn!(%error, "outbox"));
        answered
    }

    async fn deliver(&self, row: &Row) -> Result<(), Error> {
        let method = Method::from_bytes(row.method.as_bytes()).unwrap_or(Method::POST);
        let mut call = Call::new(method, &row.path)
            .idempotency_key(&row.message_id)
            .header(TOPIC_HEADER, &row.topic);
        if let Some(body) = &row.body {
            call = call.raw_json(body.as_bytes());
        }
        let Some(creation) = &row.traceparent else {
            return self.peer.tell(call).await;
        };
        let telling = self.peer.tell(call.header(CREATION_HEADER, creation));
        let attempt = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        mesh_telemetry::service::relay(&row.topic, &row.message_id, creation, attempt, telling)
            .await
    }
}

enum Round {
    Nothing,
    Delivered,
    Failed,
}

enum Pause {
    UntilWoken(Duration),
    For(Duration),
}

impl Pause {
    async fn over(self, bell: impl Future<Output = ()>) {
        match self {
            // New messages are no reason to try a failing peer earlier.
            Self::For(pause) => tokio::time::sleep(pause).await,
            Self::UntilWoken(longest) => {
                let _ = tokio::time::timeout(longest, bell).await;
            }
        }
    }
}

fn log(error: &Error) {
    tracing::warn!(%error, "outbox");
}

/// When a message that was tried so often is due again.
fn due_after(attempts: i64) -> i64 {
    let pause = backoff(u32::try_from(attempts).unwrap_or(u32::MAX));
    now_ms() + i64::try_from(pause.as_millis()).unwrap_or(0)
}

/// Doubling pauses, each shortened by chance to between half and all of it, so
/// that relays that failed together do not come back together.
fn backoff(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled
        .min(LONGEST_PAUSE)
        .mul_f64(rand::random_range(0.5..=1.0))
}
