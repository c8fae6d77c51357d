//! Durations and sizes with units in configuration: `250ms`, `1m 30s`, `64KiB`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What `humantime` reads, as a regular expression of JSON Schema.
const DURATION: &str = "^\\s*(0|([0-9]+\\s*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\\s*)+)$";

/// How a duration looks in JSON Schema.
pub struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        false
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": DURATION,
            "description": "A duration with units, as `250ms`, `2s` or `1m 30s`.",
            "examples": ["250ms", "2s", "5m"],
        })
    }
}

/// How an address of a listener looks in JSON Schema.
pub struct AddressText;

impl JsonSchema for AddressText {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn inline_schema() -> bool {
        false
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9A-Fa-f:.]+(%[0-9]+)?\\]):[0-9]{1,5}$",
            "description": "An IP address with a port; port 0 takes any free one.",
            "examples": ["127.0.0.1:15001", "0.0.0.0:15000", "[::1]:15001"],
        })
    }
}

/// How a size looks in JSON Schema.
pub struct SizeText;

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn inline_schema() -> bool {
        false
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$",
            "description": "A size with a unit, as `64KiB`.",
            "examples": ["512B", "64KiB", "10MiB"],
        })
    }
}

/// `#[serde(with = "units::duration")]`
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `250ms`.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    /// Reads `250ms`; a bare number is refused, because its unit would be a guess.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map_err(D::Error::custom)
    }

    /// Reads a duration with units, as the command line and the files write it.
    pub fn parse(text: &str) -> Result<Duration, String> {
        humantime::parse_duration(text).map_err(|error| {
            format!("`{text}` is no duration: {error}; write a number with a unit, as `250ms`, `2s` or `5m`")
        })
    }
}

/// `#[serde(with = "units::optional_duration")]`
pub mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `250ms` or nothing.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::duration::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads `250ms` or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| super::duration::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

/// `#[serde(with = "units::size")]`
pub mod size {
    use std::fmt;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Units, the largest first.
    const UNITS: [(&str, u64); 4] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
    ];

    /// A number of bytes that is shown as `64KiB`.
    #[derive(Clone, Copy, Debug)]
    pub struct Shown(pub u64);

    impl fmt::Display for Shown {
        fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            let value = self.0;
            let fitting = UNITS
                .iter()
                .find(|(_, bytes)| value >= *bytes && value.is_multiple_of(*bytes));
            match fitting {
                Some((unit, bytes)) => write!(to, "{}{unit}", value / bytes),
                None => write!(to, "{value}B"),
            }
        }
    }

    /// Writes `64KiB`.
    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Shown(*value))
    }

    /// Reads `64KiB`; a bare number is refused, because its unit would be a guess.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map_err(D::Error::custom)
    }

    /// Reads a size with a unit, in bytes.
    pub fn parse(text: &str) -> Result<u64, String> {
        let read = || {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let (_, bytes) = UNITS
                .iter()
                .find(|(unit, _)| &text[digits.len()..] == *unit)?;
            digits.trim_end().parse::<u64>().ok()?.checked_mul(*bytes)
        };
        read().ok_or_else(|| {
            format!("`{text}` is no size: write a whole number with a unit, as `512B`, `64KiB` or `10MiB`")
        })
    }

    #[cfg(test)]
    mod tests {
        use super::parse;

        #[test]
        fn sizes_need_a_unit() {
            assert_eq!(parse("64KiB"), Ok(65_536));
            assert_eq!(parse("1 MiB"), Ok(1 << 20));
            assert_eq!(parse("512B"), Ok(512));
            for wrong in ["64", "64KB", "-1B", "99999999999GiB", ""] {
                assert!(parse(wrong).unwrap_err().contains("64KiB"), "{wrong}");
            }
        }
    }
}

/// `#[serde(with = "units::optional_size")]`
pub mod optional_size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `64KiB` or nothing.
    pub fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::size::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads `64KiB` or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| super::size::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}
