//! Tells the endpoint's breaker how the attempt went.
//!
//! A failure is known with the head of an answer, a success only when its body has
//! not broken off; gRPC says even later how it went, among the trailers.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use mesh_telemetry::proxy::{AttemptEvent, AttemptScope};
use tokio::time::Instant;

use super::{Around, Fallible};
use crate::{
    body::{End, Keep, Response, Watch, watched_response},
    call::Attempt,
    cluster::{Admission, Permit, breaker::Change},
    error::{ProxyError, Side},
    grpc,
};

/// The layer.
pub(crate) struct Breaker;

impl<Next: Fallible<Attempt>> Around<Attempt, Next> for Breaker {
    type Error = ProxyError;

    async fn call(
        self: Arc<Self>,
        mut attempt: Attempt,
        mut next: Next,
    ) -> Result<Response, ProxyError> {
        let permit = attempt.permit.take();
        let scope = attempt.scope.clone();
        // Dropped while this waits (the caller went away), the permit votes for nobody.
        let result = next.call(attempt).await;
        match permit {
            Some(permit) => cast(permit, scope, result),
            None => result,
        }
    }
}

/// The endpoint is busy with the attempt until the body of the answer is read.
fn cast(
    mut permit: Permit,
    scope: AttemptScope,
    result: Result<Response, ProxyError>,
) -> Result<Response, ProxyError> {
    let now = Instant::now();
    let grpc = match verdict(&result) {
        Verdict::Nothing => {
            permit.answered(now);
            return result.map(|it| watched_response(it, Keep(permit)));
        }
        // A probe decides at once: others wait for it.
        Verdict::Is(success) if !success || permit.admission() == Admission::Probe => {
            let (change, voted) = permit.vote(success, now);
            tell(&scope, change);
            return result.map(|it| watched_response(it, Keep(voted)));
        }
        Verdict::Is(_) => false,
        Verdict::Later => true,
    };
    permit.answered(now);
    let rest = Rest {
        permit,
        scope,
        grpc,
        status: None,
    };
    result.map(|response| watched_response(response, rest))
}

fn tell(scope: &AttemptScope, change: Option<Change>) {
    if let Some(Change::Ejected(reason, duration)) = change {
        let reason = reason.as_str();
        scope.emit(AttemptEvent::Ejected { reason, duration });
    }
}

/// What an outcome says about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Success or failure.
    Is(bool),
    /// The end of the body will tell.
    Later,
    /// Nothing.
    Nothing,
}

impl From<Option<bool>> for Verdict {
    fn from(vote: Option<bool>) -> Self {
        vote.map_or(Self::Nothing, Self::Is)
    }
}

fn verdict(result: &Result<Response, ProxyError>) -> Verdict {
    match result {
        Ok(response) => match grpc::status(response.headers()) {
            Some(status) if is_grpc(response) => grpc_vote(status).into(),
            None if is_grpc(response) => Verdict::Later,
            _ => http_vote(response.status()).into(),
        },
        // A fault counts as the answer that it stands for.
        Err(ProxyError::Fault(fault)) => match fault.answer() {
            Some((_, Some(grpc))) => grpc_vote(grpc).into(),
            Some(_) => http_vote(fault.status()).into(),
            None => Verdict::Is(false),
        },
        Err(error) if error.side() == Side::Upstream => Verdict::Is(false),
        Err(_) => Verdict::Nothing,
    }
}

fn http_vote(status: StatusCode) -> Option<bool> {
    (status != StatusCode::TOO_MANY_REQUESTS).then(|| !status.is_server_error())
}

/// An answer whose outcome stands in `grpc-status`.
fn is_grpc(response: &Response) -> bool {
    response.status() == StatusCode::OK && grpc::is_grpc(response.headers())
}

/// Success or failure of the endpoint; none: the status says nothing about it.
///
/// Codes that a correct server gives a wrong request are successes, as 4xx are.
fn grpc_vote(status: u16) -> Option<bool> {
    match status {
        // Given up on by the caller; a quota, which is what 429 is to HTTP.
        grpc::CANCELLED | grpc::RESOURCE_EXHAUSTED => None,
        grpc::UNKNOWN
        | grpc::DEADLINE_EXCEEDED
        | grpc::INTERNAL
        | grpc::UNAVAILABLE
        | grpc::DATA_LOSS => Some(false),
        _ => Some(true),
    }
}

/// A body that broke off by no doing of this sidecar or the caller.
fn is_upstreams_failure(end: End) -> bool {
    matches!(end, End::Failed(broke) if broke.side == Side::Upstream)
}

/// An answer that began well: its end is the vote.
struct Rest {
    permit: Permit,
    scope: AttemptScope,
    grpc: bool,
    /// `grpc-status`.
    status: Option<u16>,
}

impl Watch for Rest {
    fn trailers(&mut self, trailers: &HeaderMap) {
        self.status = grpc::status(trailers);
    }

    fn ended(self, end: End) {
        let vote = match (self.grpc, self.status) {
            (false, _) => Some(!is_upstreams_failure(end)),
            (true, Some(status)) => grpc_vote(status),
            // The caller went away before there was a status.
            (true, None) if end == End::Dropped => None,
            // The protocol knows no answer without one.
            (true, None) => Some(false),
        };
        if let Some(success) = vote {
            let (change, _voted) = self.permit.vote(success, Instant::now());
            tell(&self.scope, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

    use super::{Verdict, verdict};
    use crate::{
        body::{Body, Response},
        error::{Blow, Fault, ProxyError},
    };

    fn answer(status: u16) -> Verdict {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        verdict(&Ok(response))
    }

    fn call(kind: &'static str, grpc_status: Option<&'static str>) -> Verdict {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(status) = grpc_status {
            headers.insert("grpc-status", HeaderValue::from_static(status));
        }
        verdict(&Ok(response))
    }

    fn blow(blow: Blow) -> Verdict {
        let rule = "r".into();
        verdict(&Err(ProxyError::Fault(Fault { rule, blow })))
    }

    fn fault(status: u16) -> Verdict {
        blow(Blow::Http {
            status: StatusCode::from_u16(status).unwrap(),
            words: None,
        })
    }

    #[test]
    fn votes_follow_the_table() {
        for status in [200, 204, 301, 404] {
            assert_eq!(answer(status), Verdict::Is(true), "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(answer(status), Verdict::Is(false), "{status}");
            assert_eq!(fault(status), Verdict::Is(false), "fault {status}");
        }
        assert_eq!(answer(429), Verdict::Nothing);
        assert_eq!(fault(429), Verdict::Nothing);
        assert_eq!(fault(404), Verdict::Is(true));
        assert_eq!(blow(Blow::Refuse), Verdict::Is(false));
        assert_eq!(blow(Blow::Reset), Verdict::Is(false));
        let of = |error| verdict(&Err(error));
        assert_eq!(of(ProxyError::AttemptTimeout), Verdict::Is(false));
        assert_eq!(of(ProxyError::Deadline), Verdict::Is(false));
        assert_eq!(of(ProxyError::Overload), Verdict::Nothing);
    }

    #[test]
    fn grpc_votes_by_its_own_status() {
        for code in ["2", "4", "13", "14", "15"] {
            let verdict = call("application/grpc", Some(code));
            assert_eq!(verdict, Verdict::Is(false), "{code}");
        }
        for code in ["0", "3", "5", "7", "9", "12", "16"] {
            let verdict = call("application/grpc+proto", Some(code));
            assert_eq!(verdict, Verdict::Is(true), "{code}");
        }
        for (code, wanted) in [
            (14, Verdict::Is(false)),
            (5, Verdict::Is(true)),
            (8, Verdict::Nothing),
        ] {
            let message = None;
            assert_eq!(blow(Blow::Grpc { code, message }), wanted, "fault {code}");
        }
        for code in ["1", "8"] {
            let verdict = call("application/grpc", Some(code));
            assert_eq!(verdict, Verdict::Nothing, "{code}");
        }
        assert_eq!(call("application/grpc", None), Verdict::Later);
        assert_eq!(call("application/grpc-web+proto", None), Verdict::Is(true));
    }
}
