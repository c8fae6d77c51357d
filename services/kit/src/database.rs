//! One SQLite file per service, shared by its instances.

use std::fs::{File, create_dir_all};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, SqlSafeStr, SqliteConnection, Transaction};

use crate::error::Error;
use crate::slowness;

/// One step of a schema. Steps that were shipped are never changed, only
/// followed by others: the migrator compares checksums.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Place in the order, from 1.
    pub version: i64,
    /// Short name, kept in the migrations table.
    pub name: &'static str,
    /// Statements.
    pub sql: &'static str,
}

/// A service's database: a small pool over one file.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
}

/// Each SQLite connection costs a thread and a page cache. Four let reads
/// overlap with the one writer SQLite has.
const CONNECTIONS: u32 = 4;

/// Page cache of a connection, KiB (negative: the pragma's way to say KiB).
/// The default of 2 MiB times four is most of a service's memory.
const CACHE: &str = "-256";

/// How long a writer waits for another, also one in another process.
const BUSY: Duration = Duration::from_secs(5);

impl Database {
    /// Opens `folder/db/<service>.db`, made if missing, and brings it to the
    /// newest schema. Instances that start together take turns.
    pub async fn open(folder: &Path, service: &str, steps: &[Step]) -> Result<Self, Error> {
        let folder = folder.join("db");
        let path = folder.join(format!("{service}.db"));
        let turn = take_turn(folder, service).await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(1)
            .acquire_timeout(BUSY)
            // Both where the connection is taken already: slow queries queue up. A
            // connection is either new or was idle, so that each query pauses once.
            .after_connect(|_, _| {
                Box::pin(async {
                    slowness::pause().await;
                    Ok(())
                })
            })
            .before_acquire(|connection, _| {
                Box::pin(async {
                    let sound = is_sound(connection);
                    if sound {
                        slowness::pause().await;
                    }
                    Ok(sound)
                })
            })
            .connect_with(options(&path))
            .await
            .map_err(|source| Error::Open {
                path: path.clone(),
                source,
            })?;
        migrator(steps)
            .run(&pool)
            .await
            .map_err(|source| Error::Migrate { path, source })?;
        drop(turn);
        Ok(Self { pool })
    }

    /// For queries that stand alone. A lone `INSERT … RETURNING` belongs in
    /// [`write`](Self::write): fetching one row ends the statement early, and
    /// SQLite then never folds its write-ahead log into the file.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a transaction that will write. It takes the write lock at once:
    /// one that reads first and wants to write later can find that another
    /// process wrote in between, and would have to fail.
    pub async fn write(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Closes all connections; the last process to do so folds the log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether an idle connection can begin a transaction. When a disk is full SQLite ends
/// the transaction itself; sqlx then cannot, and takes the connection for busy with
/// it for ever. Such a connection is closed, and another takes its place.
fn is_sound(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .pragma("cache_size", CACHE)
}

fn migrator(steps: &[Step]) -> Migrator {
    let migrations = steps
        .iter()
        .map(|step| {
            Migration::new(
                step.version,
                step.name.into(),
                MigrationType::Simple,
                step.sql.into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// SQLite's migrator takes no lock, and switching a new file to WAL fails at
/// once when another process has it open: a lock file puts starters in a row.
/// The system frees it when the process ends, however it ends.
async fn take_turn(folder: PathBuf, service: &str) -> Result<File, Error> {
    let path = folder.join(format!("{service}.lock"));
    let locking = tokio::task::spawn_blocking(move || {
        let lock = || {
            create_dir_all(&folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| Error::DataDir {
            path: path.clone(),
            source,
        })
    });
    locking.await.map_err(|_| Error::BrokenOff)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    const STEPS: &[Step] = &[
        Step {
            version: 1,
            name: "things",
            sql: "CREATE TABLE things (id INTEGER PRIMARY KEY) STRICT",
        },
        Step {
            version: 2,
            name: "seed",
            sql: "INSERT INTO things (id) VALUES (1), (2)",
        },
    ];

    async fn count(database: &Database) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM things")
            .fetch_one(database.pool())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn instances_that_start_together_migrate_once() {
        let folder = tempfile::tempdir().unwrap();
        let opening = (0..4).map(|_| Database::open(folder.path(), "shop", STEPS));
        for database in join_all(opening).await {
            assert_eq!(count(&database.unwrap()).await, 2);
        }
    }

    #[tokio::test]
    async fn a_changed_step_is_refused_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        Database::open(folder.path(), "shop", STEPS).await.unwrap();
        let changed = [Step {
            sql: "CREATE TABLE other (id INTEGER)",
            ..STEPS[0]
        }];
        let error = Database::open(folder.path(), "shop", &changed)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("shop.db"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_transaction_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "shop", STEPS).await.unwrap();
        let mut write = database.write().await.unwrap();
        sqlx::query("INSERT INTO things (id) VALUES (3)")
            .execute(&mut *write)
            .await
            .unwrap();
        drop(write);
        assert_eq!(count(&database).await, 2);
    }

    #[tokio::test]
    async fn queries_are_slow_where_the_request_asks_for_it_and_hold_their_connection() {
        const DELAY: Duration = Duration::from_millis(200);
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "shop", STEPS).await.unwrap();
        let counting = async || {
            let began = tokio::time::Instant::now();
            count(&database).await;
            began.elapsed()
        };
        assert!(counting().await < DELAY, "nobody asked");
        let slow = slowness::carried(Some(DELAY), counting()).await;
        assert!(slow >= DELAY, "{slow:?}");
        // Twice as many as there are connections: half of them wait for the others. Some
        // connections are opened for them, and pause as those do that were open.
        assert!(database.pool().size() < CONNECTIONS);
        let many = (0..2 * CONNECTIONS).map(|_| slowness::carried(Some(DELAY), counting()));
        let mut taken = join_all(many).await;
        taken.sort_unstable();
        assert!(taken[0] >= DELAY, "{taken:?}");
        let last = taken[taken.len() - 1];
        assert!(last >= 2 * DELAY, "{taken:?}");
        assert_eq!(database.pool().size(), CONNECTIONS);
    }

    #[tokio::test]
    async fn writes_work_again_after_the_disk_was_full() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "shop", STEPS).await.unwrap();
        let mut write = database.write().await.unwrap();
        // No page beyond those there are: for this connection, the disk is full.
        for sql in [
            "CREATE TABLE texts (text TEXT)",
            "PRAGMA max_page_count = 1",
        ] {
            sqlx::query(sql).execute(&mut *write).await.unwrap();
        }
        let full = sqlx::query("INSERT INTO texts VALUES (zeroblob(100000))")
            .execute(&mut *write)
            .await
            .unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        drop(write);
        // More often than there are connections: each has its turn.
        for _ in 0..2 * CONNECTIONS {
            let write = database.write().await.unwrap();
            write.rollback().await.unwrap();
        }
        assert_eq!(count(&database).await, 2);
    }
}
