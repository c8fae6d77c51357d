//! What every service of the shop shares: start-up, database, peers, errors,
//! idempotency and the outbox.
//!
//! A service crate has three files and depends on this crate only: `lib.rs`
//! (routes, `run`), `store.rs` (its database) and `api.rs` (its JSON). It calls
//! other services through a [`Peer`] and never knows in which form the shop runs.

pub mod args;
pub mod clock;
pub mod database;
pub mod deadline;
pub mod error;
pub mod extract;
pub mod id;
pub mod idempotency;
pub mod outbox;
pub mod page;
pub mod peer;
pub mod routes;
pub mod service;
pub mod slowness;

pub use args::{PeerAddress, ServiceArgs};
pub use database::{Database, Step};
pub use error::{Error, ErrorBody};
pub use extract::{IdempotencyKey, Json, Path, Query};
pub use id::Id;
pub use mesh_telemetry::service::db;
pub use page::Page;
pub use peer::{Call, Peer, Peers};
pub use service::Context;

/// Result of everything in a service.
pub type Result<T, E = Error> = std::result::Result<T, E>;
