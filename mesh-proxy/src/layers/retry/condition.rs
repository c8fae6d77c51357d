//! Whether an outcome is one that the policy wants repeated.

use crate::{
    body::Response,
    config::{RetryOn, RetryPolicy},
    error::ProxyError,
    grpc,
};

/// Name of the condition that `statuses` stands for.
const STATUS: &str = "status";

/// The first condition of the policy that the outcome meets, by name.
pub(super) fn met(
    result: &Result<Response, ProxyError>,
    policy: &RetryPolicy,
) -> Option<&'static str> {
    match result {
        Ok(answer) => {
            let grpc = grpc::status(answer.headers());
            of_answer(answer.status().as_u16(), grpc, policy)
        }
        Err(ProxyError::Fault(fault)) => match fault.answer() {
            Some((status, grpc)) => of_answer(status, grpc, policy),
            None => of_failure(fault.retry()?, policy),
        },
        // Cut off by the deadline: an attempt timeout for which there is no time left.
        Err(ProxyError::Deadline) => of_failure(RetryOn::AttemptTimeout, policy),
        Err(error) => of_failure(error.retry()?, policy),
    }
}

fn of_failure(kind: RetryOn, policy: &RetryPolicy) -> Option<&'static str> {
    policy.on.contains(&kind).then(|| name(kind))
}

fn of_answer(status: u16, grpc: Option<u16>, policy: &RetryPolicy) -> Option<&'static str> {
    let meets = |on: RetryOn| match on {
        RetryOn::FiveXx => (500..=599).contains(&status),
        RetryOn::GatewayError => (502..=504).contains(&status),
        RetryOn::Retriable4xx => status == 409,
        RetryOn::GrpcCancelled => grpc == Some(1),
        RetryOn::GrpcDeadlineExceeded => grpc == Some(4),
        RetryOn::GrpcResourceExhausted => grpc == Some(8),
        RetryOn::GrpcInternal => grpc == Some(13),
        RetryOn::GrpcUnavailable => grpc == Some(14),
        RetryOn::ConnectFailure
        | RetryOn::Reset
        | RetryOn::RefusedStream
        | RetryOn::AttemptTimeout => false,
    };
    let listed = || policy.statuses.contains(&status).then_some(STATUS);
    let on = policy.on.iter().copied().find(|&on| meets(on));
    on.map(name).or_else(listed)
}

/// All conditions of a policy, by name: labels that can come up.
pub(crate) fn names(policy: &RetryPolicy) -> impl Iterator<Item = &'static str> {
    let listed = (!policy.statuses.is_empty()).then_some(STATUS);
    policy.on.iter().copied().map(name).chain(listed)
}

fn name(condition: RetryOn) -> &'static str {
    match condition {
        RetryOn::FiveXx => "5xx",
        RetryOn::GatewayError => "gateway-error",
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::Reset => "reset",
        RetryOn::RefusedStream => "refused-stream",
        RetryOn::AttemptTimeout => "attempt-timeout",
        RetryOn::Retriable4xx => "retriable-4xx",
        RetryOn::GrpcCancelled => "grpc-cancelled",
        RetryOn::GrpcDeadlineExceeded => "grpc-deadline-exceeded",
        RetryOn::GrpcResourceExhausted => "grpc-resource-exhausted",
        RetryOn::GrpcInternal => "grpc-internal",
        RetryOn::GrpcUnavailable => "grpc-unavailable",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{met, names};
    use crate::{
        body::{Body, Response},
        config::{RetryOn, RetryPolicy},
        error::{Blow, Fault, ProxyError},
    };

    fn on(on: &[RetryOn], statuses: &[u16]) -> RetryPolicy {
        RetryPolicy {
            on: on.to_vec(),
            statuses: statuses.to_vec(),
            ..RetryPolicy::default()
        }
    }

    fn answer(status: u16, grpc: Option<&'static str>) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(grpc) = grpc {
            let headers = response.headers_mut();
            headers.insert("grpc-status", grpc.parse().unwrap());
        }
        response
    }

    #[test]
    fn answers_meet_the_conditions_that_name_them() {
        use RetryOn::{FiveXx, GatewayError, GrpcUnavailable, Reset, Retriable4xx};
        for (policy, status, grpc, wanted) in [
            (on(&[FiveXx], &[]), 500, None, Some("5xx")),
            (on(&[FiveXx], &[]), 429, None, None),
            (on(&[GatewayError], &[]), 500, None, None),
            (on(&[GatewayError], &[]), 504, None, Some("gateway-error")),
            (on(&[Retriable4xx], &[]), 409, None, Some("retriable-4xx")),
            (on(&[Retriable4xx], &[]), 404, None, None),
            (on(&[Reset], &[425]), 425, None, Some("status")),
            (on(&[Reset], &[425]), 503, None, None),
            (
                on(&[GrpcUnavailable], &[]),
                200,
                Some("14"),
                Some("grpc-unavailable"),
            ),
            (on(&[GrpcUnavailable], &[]), 200, Some("0"), None),
            (on(&[GrpcUnavailable], &[]), 503, None, None),
        ] {
            assert_eq!(
                met(&Ok(answer(status, grpc)), &policy),
                wanted,
                "{policy:?} {status}"
            );
        }
    }

    #[test]
    fn failures_meet_their_own_condition_alone() {
        let policy = on(&[RetryOn::AttemptTimeout], &[]);
        let timeout = Err(ProxyError::AttemptTimeout);
        assert_eq!(met(&timeout, &policy), Some("attempt-timeout"));
        assert_eq!(
            met(&Err(ProxyError::Deadline), &policy),
            Some("attempt-timeout")
        );
        assert_eq!(met(&Err(ProxyError::Overload), &policy), None);
        assert_eq!(met(&timeout, &on(&[RetryOn::FiveXx], &[])), None);
    }

    #[test]
    fn a_fault_counts_as_the_answer_it_stands_for() {
        let blow = |blow| {
            let rule = "r".into();
            Err(ProxyError::Fault(Fault { rule, blow }))
        };
        let fault = |status| {
            let words = None;
            blow(Blow::Http { status, words })
        };
        let policy = on(&[RetryOn::GatewayError], &[418]);
        assert_eq!(
            met(&fault(StatusCode::BAD_GATEWAY), &policy),
            Some("gateway-error")
        );
        assert_eq!(
            met(&fault(StatusCode::IM_A_TEAPOT), &policy),
            Some("status")
        );
        assert_eq!(
            met(&fault(StatusCode::INTERNAL_SERVER_ERROR), &policy),
            None
        );
        let message = None;
        let grpc = blow(Blow::Grpc { code: 14, message });
        let unavailable = on(&[RetryOn::GrpcUnavailable], &[]);
        assert_eq!(met(&grpc, &unavailable), Some("grpc-unavailable"));
        let broken = on(&[RetryOn::Reset, RetryOn::ConnectFailure], &[]);
        assert_eq!(met(&blow(Blow::Reset), &broken), Some("reset"));
        assert_eq!(met(&blow(Blow::Refuse), &broken), Some("connect-failure"));
        assert_eq!(met(&blow(Blow::Reset), &on(&[RetryOn::FiveXx], &[])), None);
        assert_eq!(
            names(&policy).collect::<Vec<_>>(),
            ["gateway-error", "status"]
        );
    }
}
