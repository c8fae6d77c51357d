//! The service half: `tracing` and `tracing-opentelemetry`, the ordinary way.
//!
//! [`server_layer`] around a router and [`client_call`] around every call to a peer
//! are enough for a request's whole way through a service; [`db`], [`publish`] and
//! [`process`] add what happens beside HTTP. Each opens a span and counts a
//! duration under the names of the semantic conventions.

mod client;
mod current;
mod database;
mod messaging;
mod processor;
mod server;
mod shop;
mod timed;

pub use client::client_call;
pub(crate) use current::Incoming;
pub use current::current_traceparent;
pub use database::db;
pub use messaging::{process, publish, relay};
pub(crate) use processor::provider;
pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService, server_layer};
pub use shop::{ShopEvent, emit};

/// A code of low cardinality for an error of type `E`: its type's name, as the
/// semantic conventions allow; boxed errors have none worth telling.
fn error_type<E>() -> &'static str {
    let name = std::any::type_name::<E>();
    if name.contains("dyn ") {
        "_OTHER"
    } else {
        name
    }
}
