//! Faults that end a request, or break its answer off: what each stands for, as one
//! table a question.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use mesh_telemetry::proxy::Flags;

use crate::config::{Abort, RetryOn};

/// What a chaos rule put in place of an answer, or of the rest of one.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// What it did.
    pub blow: Blow,
}

/// How a fault ends a request.
#[derive(Clone, Debug)]
pub enum Blow {
    /// With an answer of HTTP.
    Http {
        /// 400 to 599.
        status: StatusCode,
        /// Body of the answer; none: this sidecar's own words.
        words: Option<Arc<Words>>,
    },
    /// With an answer of gRPC.
    Grpc {
        /// 1 to 16.
        code: u16,
        /// `grpc-message`; none: this sidecar's own words.
        message: Option<Arc<str>>,
    },
    /// As if nobody took the connection.
    Refuse,
    /// As if the connection to the upstream broke before there was an answer.
    Reset,
    /// The caller's own connection is broken.
    Sever,
    /// The answer breaks off in its body.
    Truncate,
}

/// The body of an answer that a rule gives.
#[derive(Debug)]
pub struct Words {
    /// The body.
    pub body: Bytes,
    /// Its `Content-Type`.
    pub content_type: HeaderValue,
}

impl Blow {
    /// The answer of a checked rule.
    pub(crate) fn of(abort: &Abort) -> Option<Self> {
        Some(match abort {
            Abort::Http {
                status,
                body,
                content_type,
            } => Self::Http {
                status: StatusCode::from_u16(*status).ok()?,
                words: body
                    .as_deref()
                    .map(|body| Arc::new(Words::new(body, content_type.as_deref()))),
            },
            Abort::Grpc { code, message } => Self::Grpc {
                code: *code,
                message: message.as_deref().map(Into::into),
            },
        })
    }
}

impl Words {
    fn new(body: &str, content_type: Option<&str>) -> Self {
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let given = content_type.and_then(|text| HeaderValue::from_str(text).ok());
        let content_type = given.unwrap_or_else(|| {
            HeaderValue::from_static(if is_json() {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            })
        });
        Self {
            body: Bytes::copy_from_slice(body.as_bytes()),
            content_type,
        }
    }
}

impl Fault {
    /// Bounded code in `x-mesh-reason`, metrics and spans.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.blow {
            Blow::Http { .. } | Blow::Grpc { .. } => "fault_abort",
            Blow::Refuse => "fault_refuse",
            Blow::Reset | Blow::Sever => "fault_reset",
            Blow::Truncate => "fault_truncate",
        }
    }

    /// Status of the response; what is severed or cut has none any more.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.blow {
            Blow::Http { status, .. } => status,
            Blow::Grpc { .. } => StatusCode::OK,
            Blow::Refuse => StatusCode::SERVICE_UNAVAILABLE,
            Blow::Reset | Blow::Sever | Blow::Truncate => StatusCode::BAD_GATEWAY,
        }
    }

    /// Statuses of HTTP and of gRPC of the answer that it stands for; none: of a
    /// connection that gave no answer.
    #[must_use]
    pub fn answer(&self) -> Option<(u16, Option<u16>)> {
        match self.blow {
            Blow::Http { status, .. } => Some((status.as_u16(), None)),
            Blow::Grpc { code, .. } => Some((StatusCode::OK.as_u16(), Some(code))),
            Blow::Refuse | Blow::Reset | Blow::Sever | Blow::Truncate => None,
        }
    }

    /// Envoy's letters for what it imitates. `FI` is added by telemetry.
    #[must_use]
    pub fn flags(&self) -> Flags {
        match self.blow {
            // Severed: nothing happened between this sidecar and the application.
            Blow::Http { .. } | Blow::Grpc { .. } | Blow::Sever => Flags::NONE,
            Blow::Refuse => Flags::UPSTREAM_CONNECT,
            Blow::Reset | Blow::Truncate => Flags::UPSTREAM_CLOSED,
        }
    }

    /// Condition under which an attempt that it ended may be repeated. Answers meet the
    /// conditions that their statuses meet, too.
    #[must_use]
    pub fn retry(&self) -> Option<RetryOn> {
        match self.blow {
            Blow::Http { status, .. } => status.is_server_error().then_some(RetryOn::FiveXx),
            Blow::Refuse => Some(RetryOn::ConnectFailure),
            Blow::Reset => Some(RetryOn::Reset),
            // By its own statuses; not here; too late.
            Blow::Grpc { .. } | Blow::Sever | Blow::Truncate => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.blow {
            Blow::Http { .. } | Blow::Grpc { .. } => "aborts this request",
            Blow::Refuse => "refuses the connection for this request",
            Blow::Reset | Blow::Sever => "resets the connection of this request",
            Blow::Truncate => "breaks this answer off",
        };
        write!(to, "chaos rule `{}` {what}", self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::{Blow, Fault};
    use crate::config::{Abort, RetryOn};

    fn fault(blow: Blow) -> Fault {
        Fault {
            rule: "r".into(),
            blow,
        }
    }

    fn abort(yaml: &str) -> Blow {
        let abort: Abort = serde_saphyr::from_str(yaml).unwrap();
        Blow::of(&abort).unwrap()
    }

    #[test]
    fn every_blow_has_its_line_in_every_table() {
        let reset = Some(RetryOn::Reset);
        let refused = Some(RetryOn::ConnectFailure);
        for (blow, reason, status, flags, retry, answer) in [
            (
                abort("418"),
                "fault_abort",
                418,
                "-",
                None,
                Some((418, None)),
            ),
            (
                abort("500"),
                "fault_abort",
                500,
                "-",
                Some(RetryOn::FiveXx),
                Some((500, None)),
            ),
            (
                abort("grpc:UNAVAILABLE"),
                "fault_abort",
                200,
                "-",
                None,
                Some((200, Some(14))),
            ),
            (Blow::Refuse, "fault_refuse", 503, "UF", refused, None),
            (Blow::Reset, "fault_reset", 502, "UC", reset, None),
            (Blow::Sever, "fault_reset", 502, "-", None, None),
            (Blow::Truncate, "fault_truncate", 502, "UC", None, None),
        ] {
            let fault = fault(blow);
            assert_eq!(fault.reason(), reason);
            assert_eq!(fault.status(), status, "{fault}");
            assert_eq!(fault.flags().to_string(), flags, "{fault}");
            assert_eq!(fault.retry(), retry, "{fault}");
            assert_eq!(fault.answer(), answer, "{fault}");
        }
    }

    #[test]
    fn a_body_without_a_type_is_json_where_it_can_be_read_as_such() {
        for (yaml, wanted) in [
            (r#"{ status: 500, body: '{"a":1}' }"#, "application/json"),
            ("{ status: 500, body: sorry }", "text/plain; charset=utf-8"),
            (
                "{ status: 500, body: '<p/>', content_type: text/html }",
                "text/html",
            ),
        ] {
            let Blow::Http {
                words: Some(words), ..
            } = abort(yaml)
            else {
                panic!("{yaml} gives no words");
            };
            assert_eq!(words.content_type, wanted, "{yaml}");
        }
    }
}
