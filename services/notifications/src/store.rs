//! What customers were told.

use kit::{Database, Error, Id, Result, Step, clock, db};

use crate::api::{NewNotification, Notification};

/// The schema.
pub const STEPS: &[Step] = &[Step {
    version: 1,
    name: "notifications",
    sql: include_str!("../migrations/1_notifications.sql"),
}];

const INSERT: &str = "INSERT INTO notifications \
    (user_id, message, message_id, topic, created_at_ms) VALUES (?, ?, ?, ?, ?) \
    ON CONFLICT (message_id) DO NOTHING";
const BEFORE: &str =
    "SELECT notification_id, user_id, message FROM notifications WHERE message_id = ?";
const LIST: &str = "SELECT notification_id, user_id, message, topic, created_at_ms \
    FROM notifications WHERE ?1 IS NULL OR user_id = ?1 ORDER BY notification_id DESC LIMIT ?2";

type Row = (i64, i64, String, Option<String>, i64);

/// Notifications, in the service's database.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// The store in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Keeps a notification, once per key, and returns its id.
    pub async fn add(
        &self,
        new: &NewNotification,
        key: Option<&str>,
        topic: Option<&str>,
    ) -> Result<i64> {
        let insert = sqlx::query(INSERT)
            .bind(new.user_id.0)
            .bind(&new.message)
            .bind(key)
            .bind(topic)
            .bind(clock::now_ms())
            .execute(self.database.pool());
        let inserted = db("INSERT", "notifications", INSERT, insert).await?;
        match inserted.rows_affected() {
            0 => self.before(new, key).await,
            _ => Ok(inserted.last_insert_rowid()),
        }
    }

    /// The notification that an earlier request with the same key left.
    async fn before(&self, new: &NewNotification, key: Option<&str>) -> Result<i64> {
        let before = sqlx::query_as::<_, (i64, i64, String)>(BEFORE)
            .bind(key)
            .fetch_one(self.database.pool());
        let (id, user, message) = db("SELECT", "notifications", BEFORE, before).await?;
        if user == new.user_id.0 && message == new.message {
            return Ok(id);
        }
        Err(Error::refused(
            http::StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used before with another request",
        ))
    }

    /// The newest notifications, of one customer or of all.
    pub async fn list(&self, user: Option<Id>, limit: i64) -> Result<Vec<Notification>> {
        let list = sqlx::query_as::<_, Row>(LIST)
            .bind(user.map(|id| id.0))
            .bind(limit)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "notifications", LIST, list).await?;
        Ok(rows.into_iter().map(notification).collect())
    }
}

fn notification((notification_id, user, message, topic, created_at_ms): Row) -> Notification {
    Notification {
        notification_id,
        user_id: Id(user),
        message,
        topic,
        created_at_ms,
    }
}
