//! One effect for one `Idempotency-Key`, however often the request comes.
//!
//! The key, what was asked and what was answered are kept in the service's own
//! database and written in the same transaction as the effect, so that neither
//! can exist without the other. The database's write lock puts instances in a
//! row, which makes the promise hold across processes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::SqliteConnection;

use crate::clock::now_ms;
use crate::database::Database;
use crate::error::Error;

/// The table; a service that uses this module makes it one of its steps.
pub const SCHEMA: &str = include_str!("../migrations/idempotency.sql");

/// How long a key is remembered, milliseconds: a day, as is customary.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;

const FIND: &str = "SELECT request, response FROM idempotency WHERE key = ?";
const CLAIM: &str = "INSERT INTO idempotency (key, request, created_at_ms) VALUES (?, ?, ?)";
const COMPLETE: &str = "UPDATE idempotency SET response = ? WHERE key = ?";
const FORGET: &str = "DELETE FROM idempotency WHERE key = ?";
const PRUNE: &str = "DELETE FROM idempotency WHERE created_at_ms < ?";

/// What is known about a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// Nothing: the request is to be carried out.
    Nothing,
    /// It was carried out; this was the answer.
    Answer(T),
}

/// Looks a key up. The same key with another request is refused with 422;
/// one whose first request is still being carried out with 409.
pub async fn find<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    key: &str,
    request: &impl Serialize,
) -> Result<Known<T>, Error> {
    let query = sqlx::query_as::<_, (String, Option<String>)>(FIND).bind(key);
    let found = query.fetch_optional(connection);
    let found = mesh_telemetry::service::db("SELECT", "idempotency", FIND, found).await?;
    let Some((stored, response)) = found else {
        return Ok(Known::Nothing);
    };
    // The request itself is kept, in its read and rewritten form: it is small,
    // and unlike a digest it cannot collide.
    if stored != serde_json::to_string(request)? {
        return Err(Error::refused(
            http::StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used before with another request",
        ));
    }
    let response = response.ok_or_else(|| {
        Error::conflict(
            "idempotency_key_in_use",
            "the first request with this Idempotency-Key is still being carried out",
        )
    })?;
    Ok(Known::Answer(serde_json::from_str(&response)?))
}

/// Takes a key for this request, inside the transaction of the effect.
pub async fn claim<T: DeserializeOwned>(
    transaction: &mut SqliteConnection,
    key: &str,
    request: &impl Serialize,
) -> Result<Known<T>, Error> {
    let known = find(transaction, key, request).await?;
    if matches!(known, Known::Nothing) {
        let query = sqlx::query(CLAIM)
            .bind(key)
            .bind(serde_json::to_string(request)?)
            .bind(now_ms());
        let claim = query.execute(transaction);
        mesh_telemetry::service::db("INSERT", "idempotency", CLAIM, claim).await?;
    }
    Ok(known)
}

/// Keeps the answer, inside the transaction of the effect.
pub async fn complete(
    transaction: &mut SqliteConnection,
    key: &str,
    response: &impl Serialize,
) -> Result<(), Error> {
    let query = sqlx::query(COMPLETE)
        .bind(serde_json::to_string(response)?)
        .bind(key);
    let complete = query.execute(transaction);
    mesh_telemetry::service::db("UPDATE", "idempotency", COMPLETE, complete).await?;
    Ok(())
}

/// Frees a key whose request failed, so that it can be tried again.
pub async fn forget(transaction: &mut SqliteConnection, key: &str) -> Result<(), Error> {
    let forget = sqlx::query(FORGET).bind(key).execute(transaction);
    mesh_telemetry::service::db("DELETE", "idempotency", FORGET, forget).await?;
    Ok(())
}

/// Removes what is older than a day; called when a service starts.
pub async fn prune(database: &Database) -> Result<(), Error> {
    let prune = sqlx::query(PRUNE)
        .bind(now_ms() - REMEMBERED_MS)
        .execute(database.pool());
    mesh_telemetry::service::db("DELETE", "idempotency", PRUNE, prune).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Step;
    use futures_util::future::join_all;

    const STEPS: &[Step] = &[Step {
        version: 1,
        name: "idempotency",
        sql: SCHEMA,
    }];

    async fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "x", STEPS).await.unwrap();
        (folder, database)
    }

    /// Carries a request out once: 1 if this call did it, 0 if it was replayed.
    async fn once(database: &Database, key: &str, request: &str) -> Result<u32, Error> {
        let mut write = database.write().await?;
        if let Known::Answer(()) = claim(&mut write, key, &request).await? {
            return Ok(0);
        }
        complete(&mut write, key, &()).await?;
        write.commit().await?;
        Ok(1)
    }

    #[tokio::test]
    async fn of_many_at_once_exactly_one_is_carried_out() {
        let (folder, first) = database().await;
        let second = Database::open(folder.path(), "x", STEPS).await.unwrap();
        let all = (0..20).map(|n| once(if n % 2 == 0 { &first } else { &second }, "k", "a"));
        let done: u32 = join_all(all).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(done, 1);
    }

    #[tokio::test]
    async fn the_same_key_with_another_request_is_refused() {
        let (_folder, database) = database().await;
        once(&database, "k", "a").await.unwrap();
        let error = once(&database, "k", "b").await.unwrap_err();
        assert_eq!(error.code(), "idempotency_key_reused");
        assert_eq!(error.status(), 422);
    }

    #[tokio::test]
    async fn a_key_in_use_is_told_apart_and_can_be_freed() {
        let (_folder, database) = database().await;
        let mut write = database.write().await.unwrap();
        claim::<()>(&mut write, "k", &"a").await.unwrap();
        write.commit().await.unwrap();
        let error = once(&database, "k", "a").await.unwrap_err();
        assert_eq!(error.code(), "idempotency_key_in_use");
        let mut write = database.write().await.unwrap();
        forget(&mut write, "k").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(once(&database, "k", "a").await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_failed_effect_leaves_the_key_free() {
        let (_folder, database) = database().await;
        let mut write = database.write().await.unwrap();
        claim::<()>(&mut write, "k", &"a").await.unwrap();
        drop(write);
        assert_eq!(once(&database, "k", "a").await.unwrap(), 1);
    }
}
