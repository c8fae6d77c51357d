//! The whole shop, in one process, over a real socket.

mod faults;
mod front_door;
mod idempotency;
mod orders;
mod outbox;
mod refusals;
mod support;
