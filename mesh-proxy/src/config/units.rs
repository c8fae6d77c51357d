//! Durations with units in configuration: `250ms`, `2s`, `1m 30s`.

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
