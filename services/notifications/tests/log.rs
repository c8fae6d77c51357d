//! The database stays as large as what is in it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use kit::{Context, Id, Peers};
use notifications::api::NewNotification;
use notifications::store::{STEPS, Store};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_write_ahead_log_is_folded_into_the_file_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new(folder.path(), Peers::default(), CancellationToken::new());
    let database = context.database(notifications::NAME, STEPS).await.unwrap();
    let store = Store::new(database);
    let new = NewNotification {
        message: "x".repeat(2_000),
        user_id: Id(1),
    };
    for n in 0..2_500 {
        let key = format!("key-{n}");
        store.add(&new, Some(&key), None).await.unwrap();
    }
    // SQLite folds after 1000 pages of 4 KiB; every addition writes several.
    let log = folder.path().join("db/notifications.db-wal");
    let length = std::fs::metadata(log).unwrap().len();
    assert!(length < 6 * 1024 * 1024, "{length} bytes");
}
