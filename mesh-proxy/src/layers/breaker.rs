//! Tells the endpoint's breaker how the attempt went.

use http::StatusCode;
use mesh_telemetry::proxy::{AttemptEvent, AttemptScope};
use tokio::time::Instant;

use super::{Around, Fallible};
use crate::{
    body::{Keep, Response, watched_response},
    call::Attempt,
    cluster::{EJECTION_REASON, Permit, breaker::Change},
    error::{ProxyError, Side},
};

/// The layer.
pub(crate) struct Breaker;

impl<Next: Fallible<Attempt>> Around<Attempt, Next> for Breaker {
    type Error = ProxyError;

    async fn call(&self, mut attempt: Attempt, mut next: Next) -> Result<Response, ProxyError> {
        let permit = attempt.permit.take();
        let scope = attempt.scope.clone();
        // Dropped while this waits (the caller went away), the permit votes for nobody.
        let result = next.call(attempt).await;
        match permit {
            Some(permit) => cast(permit, &scope, result),
            None => result,
        }
    }
}

fn cast(
    permit: Permit,
    scope: &AttemptScope,
    result: Result<Response, ProxyError>,
) -> Result<Response, ProxyError> {
    let Some(success) = vote(&result) else {
        return result.map(|response| watched_response(response, Keep(permit)));
    };
    let (change, permit) = permit.vote(success, Instant::now());
    if let Some(Change::Ejected(duration)) = change {
        let reason = EJECTION_REASON;
        scope.emit(AttemptEvent::Ejected { reason, duration });
    }
    // The endpoint is busy with this attempt until its body is read.
    result.map(|response| watched_response(response, Keep(permit)))
}

/// Success or failure of the endpoint; none: it says nothing about the endpoint.
fn vote(result: &Result<Response, ProxyError>) -> Option<bool> {
    match result {
        Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => None,
        Ok(response) => Some(!response.status().is_server_error()),
        Err(ProxyError::Fault { status, .. }) if *status == StatusCode::TOO_MANY_REQUESTS => None,
        Err(ProxyError::Fault { status, .. }) => Some(!status.is_server_error()),
        Err(error) if error.side() == Side::Upstream => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::vote;
    use crate::{
        body::{Body, Response},
        error::ProxyError,
    };

    fn answer(status: u16) -> Option<bool> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        vote(&Ok(response))
    }

    fn fault(status: u16) -> Option<bool> {
        let status = StatusCode::from_u16(status).unwrap();
        let rule = "r".into();
        vote(&Err(ProxyError::Fault { rule, status }))
    }

    #[test]
    fn votes_follow_the_table() {
        for status in [200, 204, 301, 404] {
            assert_eq!(answer(status), Some(true), "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(answer(status), Some(false), "{status}");
            assert_eq!(fault(status), Some(false), "fault {status}");
        }
        assert_eq!(answer(429), None);
        assert_eq!(fault(429), None);
        assert_eq!(fault(404), Some(true));
        assert_eq!(vote(&Err(ProxyError::AttemptTimeout)), Some(false));
        assert_eq!(vote(&Err(ProxyError::Deadline)), Some(false));
        assert_eq!(vote(&Err(ProxyError::Overload)), None);
    }
}
