//! What is left of a caller's time. The sidecar stamps it on each request that comes
//! in; the calls that answer the request carry what is left of it then, and the sidecar
//! that takes them out ends them in time. In the other forms of the shop it only passes
//! through.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

/// Milliseconds that are left for the answer; the sidecars' name for it.
pub const HEADER: HeaderName = HeaderName::from_static("x-mesh-deadline-ms");

tokio::task_local! {
    /// When the request that this task answers must have its answer.
    static DEADLINE: Option<Instant>;
}

/// Middleware: calls made while the request is answered have its deadline.
pub async fn adopt(request: Request, next: Next) -> Response {
    let deadline = incoming(request.headers());
    DEADLINE.scope(deadline, next.run(request)).await
}

/// Work that must be done however late it is, such as undoing what was given up: its
/// calls have only the time that their own route gives them.
pub async fn lifted<F: Future>(work: F) -> F::Output {
    DEADLINE.scope(None, work).await
}

/// Takes the deadline along into another task.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    DEADLINE.scope(current(), work)
}

/// Writes what is left into a call.
pub(crate) fn pass_on(headers: &mut HeaderMap) {
    if let Some(deadline) = current() {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        headers.insert(HEADER, HeaderValue::from(left));
    }
}

fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Without a number that makes sense there is no deadline.
fn incoming(headers: &HeaderMap) -> Option<Instant> {
    let left = headers.get(HEADER)?.to_str().ok()?.parse().ok()?;
    Instant::now().checked_add(Duration::from_millis(left))
}
