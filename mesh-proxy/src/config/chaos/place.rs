//! Where a rule strikes.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a rule breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Calls of one service to another, seen by this caller alone: `orders -> payments`.
    Edge {
        /// The caller.
        source: String,
        /// The called.
        destination: String,
    },
    /// A service, for all its callers: `payments`; or one instance of it: `payments-2`.
    Node(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |part: &str| {
            let part = part.trim();
            let fine = !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if fine {
                Ok(part.to_owned())
            } else {
                Err(format!(
                    "`{text}` is no place for a fault: write `orders -> payments` (an edge), `payments` (a node) or `payments-2` (one instance)"
                ))
            }
        };
        match text.split_once("->") {
            Some((source, destination)) => Ok(Self::Edge {
                source: name(source)?,
                destination: name(destination)?,
            }),
            None => name(text).map(Self::Node),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge {
                source,
                destination,
            } => write!(to, "{source} -> {destination}"),
            Self::Node(name) => to.write_str(name),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`orders -> payments` (a bad edge), `payments` (a bad node) or `payments-2` (one bad instance).",
            "examples": ["orders -> payments", "payments", "payments-2"],
        })
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
