//! Control plane and built-in observability of Glassmesh.
//!
//! - [`mesh_file`]: what a human writes, checked and compiled to policies;
//! - `control`, `registry`, `snapshots`: which sidecars there are, and what each
//!   is told;
//! - `chaos`: the rules, turned on and off in one place;
//! - `otlp`, `traces`, `jaeger`: spans in, kept in bounds, and out again;
//! - `edges`: rates, errors and durations from the sidecars' own metric pages;
//! - `http`, [`api`]: the page, the API and who may ask.
//!
//! The console never sits in the request path: without it, sidecars go on with
//! what they were told last.

mod activity;
pub mod api;
mod args;
mod chaos;
mod clock;
mod console;
mod control;
mod edges;
mod error;
mod hex;
mod http;
mod jaeger;
pub mod mesh_file;
mod names;
mod otlp;
mod receipts;
mod registry;
mod roster;
mod scenarios;
mod shared;
mod snapshots;
mod tap;
mod traces;

pub use args::{ConsoleArgs, ConsoleConfig};
pub use clock::Clock;
pub use console::{Addresses, Console, run};
pub use error::ConsoleError;
