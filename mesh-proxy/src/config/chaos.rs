//! Chaos rules: one schema for the mesh file, the API and the command line.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::units;

/// A fault to inject: where, into how many attempts, and what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name in metrics, spans and messages: lower-case letters, digits and `-`.
    pub id: String,
    /// What it shows, for people.
    #[serde(default)]
    pub description: String,
    /// `orders -> payments` (a bad edge) or `payments` (a bad node).
    #[serde(rename = "where")]
    pub place: Place,
    /// Share of what matches, 0 to 100.
    #[serde(default = "Rule::all")]
    pub percent: f64,
    /// Before or after the retry layer; see [`Position`].
    #[serde(default)]
    pub position: Position,
    /// Pause before the attempt goes on.
    #[serde(default)]
    pub delay: Option<Delay>,
    /// Answer instead of the upstream's.
    #[serde(default)]
    pub abort: Option<Abort>,
    /// Start of every draw; the verdict on an attempt is a function of seed,
    /// rule id, trace id and attempt number alone.
    #[serde(default)]
    pub seed: u64,
    /// A rule that is off injects nothing, and waits for its toggle.
    #[serde(default = "Rule::on")]
    pub enabled: bool,
    /// Time after which the rule turns itself off, counted from being turned on.
    #[serde(
        default = "Rule::default_ttl",
        with = "units::duration",
        rename = "for"
    )]
    #[schemars(with = "units::DurationText")]
    pub ttl: Duration,
    /// When the rule ends, in milliseconds since the Unix epoch; written by the
    /// console when it turns a rule on, so that a sidecar without a console still
    /// drops it in time.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
}

impl Rule {
    fn all() -> f64 {
        100.0
    }
    fn on() -> bool {
        true
    }
    fn default_ttl() -> Duration {
        Duration::from_mins(10)
    }
}

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
    /// A service, for all its callers: `payments`.
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
                    "`{text}` is no place for a fault: write `payments` (a node) or `orders -> payments` (an edge)"
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
            "description": "`payments` (a bad node) or `orders -> payments` (a bad edge).",
            "examples": ["payments", "orders -> payments"],
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

/// Where in the caller's stack an edge's fault strikes. A node's fault strikes
/// at the node, for every attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Each attempt draws anew: a flaky dependency, which retries can save.
    #[default]
    Attempt,
    /// Once per request, outside retry: a dead one, which they cannot.
    Request,
}

/// A pause, as `200ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Delay(
    #[serde(with = "units::duration")]
    #[schemars(with = "units::DurationText")]
    pub Duration,
);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        units::duration::parse(text).map(Self)
    }
}

/// An answer instead of the upstream's: an HTTP status from 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Abort(pub u16);
