//! Calls to peers that must happen, some time after a change was committed.
//!
//! The call is written as a row in the transaction of the change ([`enqueue`])
//! and made by a [`Relay`] that repeats until the peer accepted it: at least
//! once, and with the row's message id as `Idempotency-Key`, so that a peer
//! which remembers keys does it exactly once.

mod relay;

use http::Method;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, SqliteConnection};

use crate::clock::now_ms;
use crate::error::Error;

pub use relay::{Outbox, Relay};

/// The table; a service that uses this module makes it one of its steps.
pub const SCHEMA: &str = include_str!("../migrations/outbox.sql");

/// Header that tells the receiver what kind of message it is, as `order.created`.
pub const TOPIC_HEADER: &str = "x-shop-topic";

/// Header with the `traceparent` of the span that wrote the message.
pub const CREATION_HEADER: &str = "x-shop-creation";

const INSERT: &str = "INSERT INTO outbox \
    (message_id, topic, peer, method, path, body, traceparent, attempts, due_at_ms, created_at_ms) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING";

/// A call to be made later.
#[derive(Clone, Debug)]
pub struct Message {
    /// Unique for ever; the receiver knows a repetition by it.
    pub id: String,
    /// What happened, as `order.created`.
    pub topic: &'static str,
    /// Whom to call.
    pub peer: &'static str,
    /// How.
    pub method: Method,
    /// Where, as `/notifications`.
    pub path: String,
    /// JSON text, if the call has a body.
    pub body: Option<String>,
    /// How often the writer has tried it already: a further try is a trace of its own.
    pub attempts: u32,
}

/// Writes a message in the transaction of the change it belongs to, under a
/// PRODUCER span. After the commit, wake the relay with [`Outbox::wake`].
pub async fn enqueue(transaction: &mut SqliteConnection, message: &Message) -> Result<(), Error> {
    let writing = async {
        let now = now_ms();
        let query = sqlx::query(INSERT)
            .bind(&message.id)
            .bind(message.topic)
            .bind(message.peer)
            .bind(message.method.as_str())
            .bind(&message.path)
            .bind(&message.body)
            .bind(mesh_telemetry::service::current_traceparent())
            .bind(message.attempts)
            .bind(now)
            .bind(now);
        mesh_telemetry::service::db("INSERT", "outbox", INSERT, query.execute(transaction)).await
    };
    mesh_telemetry::service::publish(message.topic, &message.id, writing).await?;
    Ok(())
}

/// A message as it lies in the table.
#[derive(Debug)]
struct Row {
    id: i64,
    message_id: String,
    topic: String,
    method: String,
    path: String,
    body: Option<String>,
    traceparent: Option<String>,
    attempts: i64,
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            message_id: row.try_get("message_id")?,
            topic: row.try_get("topic")?,
            method: row.try_get("method")?,
            path: row.try_get("path")?,
            body: row.try_get("body")?,
            traceparent: row.try_get("traceparent")?,
            attempts: row.try_get("attempts")?,
        })
    }
}
