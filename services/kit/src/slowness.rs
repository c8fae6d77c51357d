//! A database that is slow because a request asks for it: a chaos rule that sets this
//! header makes the queries of the service's own database long, and nothing else. The
//! mesh takes the header from strangers at its edge, and no service sends it on.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::HeaderName;

/// Milliseconds that each query takes longer, up to ten seconds.
pub const HEADER: HeaderName = HeaderName::from_static("x-mesh-db-delay-ms");

/// Most that is granted: longer than anybody waits for a connection.
const MOST: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// By how much the queries of the request that this task answers are slowed down.
    static DELAY: Duration;
}

/// Middleware: queries made while the request is answered are as slow as it asks.
pub async fn adopt(request: Request, next: Next) -> Response {
    match asked(request.headers()) {
        None => next.run(request).await,
        Some(delay) => DELAY.scope(delay, next.run(request)).await,
    }
}

/// Takes the slowness along into another task.
pub(crate) async fn carried<F: Future>(delay: Option<Duration>, work: F) -> F::Output {
    match delay {
        None => work.await,
        Some(delay) => DELAY.scope(delay, work).await,
    }
}

/// What the request that this task answers asks for.
pub(crate) fn current() -> Option<Duration> {
    DELAY.try_with(|delay| *delay).ok()
}

/// The pause of one query, made by the database while it holds a connection.
pub(crate) async fn pause() {
    if let Some(delay) = current() {
        tokio::time::sleep(delay).await;
    }
}

/// Without a number that makes sense nothing is slow.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(HEADER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis).min(MOST)).filter(|delay| !delay.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{HEADER, asked};

    #[test]
    fn only_a_number_asks_and_none_for_more_than_there_is() {
        let said = |value: &'static str| {
            asked(&HeaderMap::from_iter([(
                HEADER,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(said("300"), Some(Duration::from_millis(300)));
        assert_eq!(said("99999999"), Some(Duration::from_secs(10)));
        for nothing in ["", "0", "-1", "soon"] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
        assert_eq!(asked(&HeaderMap::new()), None);
    }
}
