//! An answer instead of the upstream's.

use std::{borrow::Cow, fmt, str::FromStr};

use mesh_telemetry::proxy::{grpc_code, grpc_name};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

/// An answer instead of the upstream's: `503`, `grpc:UNAVAILABLE`, or with a body or
/// message of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort {
    /// An HTTP answer.
    Http {
        /// 400 to 599.
        status: u16,
        /// Body; none: the sidecar's own words.
        body: Option<String>,
        /// `Content-Type` of the body; none: JSON where the body is, else plain text.
        content_type: Option<String>,
    },
    /// A gRPC answer, with HTTP status 200.
    Grpc {
        /// 1 to 16.
        code: u16,
        /// `grpc-message`; none: the sidecar's own words.
        message: Option<String>,
    },
}

impl Abort {
    /// An HTTP answer with this status and the sidecar's own words.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Http {
            status,
            body: None,
            content_type: None,
        }
    }
}

/// The long form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Body of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// `Content-Type` of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Name or number of a gRPC status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,
    /// `grpc-message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl TryFrom<Long> for Abort {
    type Error = String;

    fn try_from(long: Long) -> Result<Self, String> {
        match (long.status, long.grpc) {
            (Some(status), None) if long.message.is_none() => Ok(Self::Http {
                status,
                body: long.body,
                content_type: long.content_type,
            }),
            (None, Some(code)) if long.body.is_none() && long.content_type.is_none() => {
                Ok(Self::Grpc {
                    code: failure_code(&code)?,
                    message: long.message,
                })
            }
            _ => Err(
                "an abort has either `status`, with `body` and `content_type`, or `grpc`, with `message`"
                    .to_owned(),
            ),
        }
    }
}

fn failure_code(text: &str) -> Result<u16, String> {
    let code = text.parse().ok().or_else(|| grpc_code(text));
    code.filter(|code| (1..=16).contains(code)).ok_or_else(|| {
        format!("`{text}` is no failure of gRPC: expected a name, as UNAVAILABLE, or 1 to 16")
    })
}

impl FromStr for Abort {
    type Err = String;

    /// The short forms: `503`, `grpc:UNAVAILABLE`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(code) = text.strip_prefix("grpc:") {
            let code = failure_code(code.trim())?;
            return Ok(Self::Grpc {
                code,
                message: None,
            });
        }
        text.parse().map(Self::status).map_err(|_| {
            format!("`{text}` is no answer: expected an HTTP status, as 503, or a gRPC status, as grpc:UNAVAILABLE")
        })
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { status, .. } => write!(to, "{status}"),
            Self::Grpc { code, .. } => write!(to, "grpc:{}", grpc_name(*code)),
        }
    }
}

impl Serialize for Abort {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Self::Http {
                status,
                body: None,
                content_type: None,
            } => to.serialize_u16(status),
            Self::Grpc { message: None, .. } => to.collect_str(self),
            Self::Http {
                status,
                body,
                content_type,
            } => Long {
                status: Some(status),
                body,
                content_type,
                grpc: None,
                message: None,
            }
            .serialize(to),
            Self::Grpc { code, message } => Long {
                status: None,
                body: None,
                content_type: None,
                grpc: Some(grpc_name(code).to_owned()),
                message,
            }
            .serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Abort {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AbortVisitor)
    }
}

struct AbortVisitor;

impl<'de> de::Visitor<'de> for AbortVisitor {
    type Value = Abort;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an HTTP status, as 503, a gRPC status, as grpc:UNAVAILABLE, or a map with `status` or `grpc`")
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<Abort, E> {
        let unexpected = || E::invalid_value(de::Unexpected::Unsigned(status), &self);
        u16::try_from(status)
            .map(Abort::status)
            .map_err(|_| unexpected())
    }

    fn visit_i64<E: de::Error>(self, status: i64) -> Result<Abort, E> {
        let unexpected = || E::invalid_value(de::Unexpected::Signed(status), &self);
        u16::try_from(status)
            .map(Abort::status)
            .map_err(|_| unexpected())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Abort, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Abort, A::Error> {
        Long::deserialize(de::value::MapAccessDeserializer::new(map))?
            .try_into()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Abort {
    fn schema_name() -> Cow<'static, str> {
        "Abort".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({
            "description": "An answer instead of the upstream's: an HTTP status, a gRPC status, or one with a body or message of its own.",
            "anyOf": [
                { "type": "integer", "minimum": 400, "maximum": 599 },
                {
                    "type": "string",
                    "pattern": "^([45][0-9]{2}|grpc:\\s*([A-Z_]+|[0-9]{1,2})\\s*)$",
                    "examples": ["grpc:UNAVAILABLE"],
                },
                long,
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Abort;

    #[test]
    fn aborts_are_written_as_they_are_read() {
        for (yaml, json) in [
            ("503", "503"),
            ("grpc:UNAVAILABLE", r#""grpc:UNAVAILABLE""#),
            ("grpc:14", r#""grpc:UNAVAILABLE""#),
            ("{ status: 500, body: no }", r#"{"status":500,"body":"no"}"#),
            (
                "{ grpc: ABORTED, message: again }",
                r#"{"grpc":"ABORTED","message":"again"}"#,
            ),
        ] {
            let abort: Abort = serde_saphyr::from_str(yaml).unwrap();
            assert_eq!(serde_json::to_string(&abort).unwrap(), json);
            assert_eq!(serde_json::from_str::<Abort>(json).unwrap(), abort);
        }
    }

    #[test]
    fn an_abort_that_cannot_be_read_says_what_was_expected() {
        for (yaml, part) in [
            ("soon", "as 503"),
            ("grpc:FINE", "as UNAVAILABLE"),
            ("grpc:OK", "no failure"),
            ("{ status: 500, grpc: ABORTED }", "either `status`"),
            ("{ stat: 500 }", "stat"),
        ] {
            let error = serde_saphyr::from_str::<Abort>(yaml)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
