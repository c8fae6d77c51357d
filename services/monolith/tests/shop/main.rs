//! The whole shop, in one process, over a real socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deadline;
mod faults;
mod front_door;
mod idempotency;
mod orders;
mod outbox;
mod refusals;
mod support;
