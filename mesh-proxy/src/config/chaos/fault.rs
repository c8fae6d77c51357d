//! Kinds of fault, and what some of them take.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

use crate::config::units;

/// A kind of fault, as it stands in labels, spans and `percent_of`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The request's headers are changed.
    RequestHeaders,
    /// A pause before the request goes on.
    Delay,
    /// Nobody takes the connection.
    Refuse,
    /// The connection breaks before there is an answer.
    Reset,
    /// No answer, until somebody gives up.
    Hang,
    /// An answer instead of the upstream's.
    Abort,
    /// The answer's headers are changed.
    ResponseHeaders,
    /// A pause before each piece of the answer's body.
    ChunkDelay,
    /// The answer's body comes slowly.
    Throttle,
    /// Bytes of the answer's body are changed.
    Corrupt,
    /// The answer's body breaks off.
    Truncate,
}

impl FaultKind {
    /// All, in the order in which they strike. `Refuse`, `Reset`, `Hang` and `Abort`
    /// leave nothing for those behind them.
    pub const ALL: [Self; 11] = [
        Self::RequestHeaders,
        Self::Delay,
        Self::Refuse,
        Self::Reset,
        Self::Hang,
        Self::Abort,
        Self::ResponseHeaders,
        Self::ChunkDelay,
        Self::Throttle,
        Self::Corrupt,
        Self::Truncate,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestHeaders => "request_headers",
            Self::Delay => "delay",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Abort => "abort",
            Self::ResponseHeaders => "response_headers",
            Self::ChunkDelay => "chunk_delay",
            Self::Throttle => "throttle",
            Self::Corrupt => "corrupt",
            Self::Truncate => "truncate",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is no kind of fault; known are: {known}")
        })
    }
}

/// Bytes a second, as `10KiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Bytes a second.
    pub rate: u64,
}

impl FromStr for Throttle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: String| {
            format!("`{text}` is no rate: {error}, and `/s` after it, as `10KiB/s`")
        };
        let size = text.trim().strip_suffix("/s").unwrap_or(text);
        let rate = units::size::parse(size.trim()).map_err(wrong)?;
        Ok(Self { rate })
    }
}

impl fmt::Display for Throttle {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/s", units::size::Shown(self.rate))
    }
}

impl Serialize for Throttle {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Throttle {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Throttle {
    fn schema_name() -> Cow<'static, str> {
        "Throttle".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)(/s)?$",
            "description": "Bytes a second.",
            "examples": ["512B/s", "10KiB/s"],
        })
    }
}

/// After how many bytes an answer's body breaks off, as `100B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Truncate {
    /// Bytes that still come.
    #[serde(with = "units::size")]
    #[schemars(with = "units::SizeText")]
    pub after: u64,
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, Throttle};

    #[test]
    fn rates_and_kinds_are_written_as_they_are_read() {
        assert_eq!(
            "10KiB/s".parse::<Throttle>().unwrap().to_string(),
            "10KiB/s"
        );
        assert!("10".parse::<Throttle>().unwrap_err().contains("10KiB/s"));
        for kind in FaultKind::ALL {
            assert_eq!(kind.as_str().parse::<FaultKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
