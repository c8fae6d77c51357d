//! The console as its clients see it: over real sockets, on free ports.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, also what stands outside the tests themselves"
)]

mod chaos;
mod control;
mod doors;
mod guests;
mod jaeger;
mod numbers;
mod receipts;
mod scenarios;
mod spans;
mod support;
