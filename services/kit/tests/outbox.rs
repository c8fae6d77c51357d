//! The outbox against a real peer: nothing is lost, nothing is done twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::post;
use http::{HeaderMap, Method, StatusCode};
use kit::outbox::{self, Message, Outbox};
use kit::{Database, Peer, Step};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const STEPS: &[Step] = &[Step {
    version: 1,
    name: "outbox",
    sql: outbox::SCHEMA,
}];

/// A peer that counts deliveries and answers as it is told.
#[derive(Clone, Default)]
struct Receiver {
    seen: Arc<Mutex<HashMap<String, u32>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
    came: Arc<Notify>,
}

impl Receiver {
    /// The next answers, the last of them first; after them all is well.
    fn answering(answers: &[StatusCode]) -> Self {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers);
        receiver
    }

    fn peer(&self) -> Peer {
        let this = self.clone();
        let deliver = move |headers: HeaderMap| async move {
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            *this.seen.lock().unwrap().entry(key).or_default() += 1;
            let answer = this.answers.lock().unwrap().pop();
            this.came.notify_one();
            answer.unwrap_or(StatusCode::OK).into_response()
        };
        Peer::in_process("post", Router::new().route("/mail", post(deliver)))
    }

    fn deliveries(&self) -> u32 {
        self.seen.lock().unwrap().values().sum()
    }

    async fn until(&self, deliveries: u32) {
        let waiting = async {
            while self.deliveries() < deliveries {
                self.came.notified().await;
            }
        };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, waiting).await.unwrap();
    }
}

async fn outbox_in(folder: &Path) -> (Database, Outbox) {
    let database = Database::open(folder, "x", STEPS).await.unwrap();
    let outbox = Outbox::new(database.clone());
    (database, outbox)
}

async fn promise(database: &Database, id: &str) {
    let mut write = database.write().await.unwrap();
    let message = Message {
        id: id.to_owned(),
        topic: "letter.written",
        peer: "post",
        method: Method::POST,
        path: "/mail".to_owned(),
        body: None,
        attempts: 0,
    };
    outbox::enqueue(&mut write, &message).await.unwrap();
    write.commit().await.unwrap();
}

/// Runs relays until the deliveries were made and nothing waits any more.
async fn run(relays: Vec<(Outbox, Peer)>, receiver: &Receiver, deliveries: u32) {
    let shutdown = CancellationToken::new();
    let running: Vec<_> = relays
        .iter()
        .map(|(outbox, peer)| {
            let relay = outbox.relay(peer.clone()).run(shutdown.clone());
            mesh_telemetry::task::spawn("relay", relay)
        })
        .collect();
    receiver.until(deliveries).await;
    // A relay ends its round before it ends.
    shutdown.cancel();
    for relay in running {
        relay.await.unwrap();
    }
}

#[tokio::test]
async fn two_instances_deliver_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let (database, first) = outbox_in(folder.path()).await;
    let (_other, second) = outbox_in(folder.path()).await;
    for n in 0..60 {
        promise(&database, &format!("m{n}")).await;
    }
    let receiver = Receiver::default();
    let relays = vec![(first.clone(), receiver.peer()), (second, receiver.peer())];
    run(relays, &receiver, 60).await;
    let seen = receiver.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 60);
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    assert_eq!(first.pending().await.unwrap(), 0);
}

#[tokio::test]
async fn a_failing_peer_is_tried_again_until_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = outbox_in(folder.path()).await;
    promise(&database, "m").await;
    let failing = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let receiver = Receiver::answering(&failing);
    run(vec![(outbox.clone(), receiver.peer())], &receiver, 4).await;
    assert_eq!(receiver.seen.lock().unwrap()["m"], 4);
    assert_eq!(outbox.pending().await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_message_is_not_repeated_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = outbox_in(folder.path()).await;
    promise(&database, "bad").await;
    let receiver = Receiver::answering(&[StatusCode::UNPROCESSABLE_ENTITY]);
    run(vec![(outbox.clone(), receiver.peer())], &receiver, 1).await;
    promise(&database, "good").await;
    run(vec![(outbox.clone(), receiver.peer())], &receiver, 2).await;
    assert_eq!(receiver.seen.lock().unwrap()["bad"], 1);
    assert_eq!(outbox.pending().await.unwrap(), 0);
    let kept: String = sqlx::query_scalar("SELECT refused FROM outbox WHERE message_id = 'bad'")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert!(kept.contains("422"), "{kept}");
}

#[tokio::test]
async fn a_message_of_a_transaction_that_failed_is_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = outbox_in(folder.path()).await;
    let mut write = database.write().await.unwrap();
    let message = Message {
        id: "never".to_owned(),
        topic: "letter.written",
        peer: "post",
        method: Method::POST,
        path: "/mail".to_owned(),
        body: None,
        attempts: 0,
    };
    outbox::enqueue(&mut write, &message).await.unwrap();
    drop(write);
    promise(&database, "sent").await;
    let receiver = Receiver::default();
    run(vec![(outbox, receiver.peer())], &receiver, 1).await;
    assert!(!receiver.seen.lock().unwrap().contains_key("never"));
}
