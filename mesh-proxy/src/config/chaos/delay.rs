//! How long a pause is.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::units;

/// A pause: always the same, or drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    /// `200ms`
    Fixed(Duration),
    /// `uniform:100ms:300ms`: every length between the two is as likely.
    Uniform {
        /// Shortest.
        from: Duration,
        /// Longest.
        to: Duration,
    },
    /// `normal:200ms:50ms`: around a mean; what would be below 0 is 0.
    Normal {
        /// Mean.
        mean: Duration,
        /// Standard deviation.
        deviation: Duration,
    },
    /// `exponential:200ms`: mostly short, sometimes several times the mean.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// `pareto:100ms:1.5`: never shorter than the scale, with a heavy tail.
    Pareto {
        /// Shortest.
        scale: Duration,
        /// How fast the tail falls, above 0; up to 1 there is no mean, up to 2 no variance.
        shape: f64,
    },
}

impl Delay {
    /// Mean length; that of a Pareto distribution without one is its scale.
    #[must_use]
    pub fn mean(&self) -> Duration {
        match *self {
            Self::Fixed(time) => time,
            Self::Uniform { from, to } => from.saturating_add(to) / 2,
            Self::Normal { mean, .. } | Self::Exponential { mean } => mean,
            Self::Pareto { scale, shape } if shape > 1.0 => {
                Duration::try_from_secs_f64(scale.as_secs_f64() * shape / (shape - 1.0))
                    .unwrap_or(Duration::MAX)
            }
            Self::Pareto { scale, .. } => scale,
        }
    }

    /// Longest that can be drawn; none: the distribution has no end.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        match *self {
            Self::Fixed(length) => Some(length),
            Self::Uniform { to, .. } => Some(to),
            Self::Normal { .. } | Self::Exponential { .. } | Self::Pareto { .. } => None,
        }
    }

    fn parse_named(kind: &str, rest: &str) -> Result<Self, String> {
        let mut parts = rest.split(':').map(str::trim);
        let mut next = |what: &str| {
            let text = parts.next().filter(|part| !part.is_empty());
            text.ok_or_else(|| format!("`{kind}:{rest}`: {what} is missing; {EXPECTED}"))
        };
        let time = units::duration::parse;
        let delay = match kind {
            "fixed" => Self::Fixed(time(next("the time")?)?),
            "uniform" => Self::Uniform {
                from: time(next("the shortest time")?)?,
                to: time(next("the longest time")?)?,
            },
            "normal" => Self::Normal {
                mean: time(next("the mean")?)?,
                deviation: time(next("the standard deviation")?)?,
            },
            "exponential" => Self::Exponential {
                mean: time(next("the mean")?)?,
            },
            "pareto" => Self::Pareto {
                scale: time(next("the shortest time")?)?,
                shape: shape(next("the shape")?)?,
            },
            _ => return Err(format!("`{kind}` is no kind of delay; {EXPECTED}")),
        };
        match parts.next() {
            Some(more) => Err(format!("`{kind}:{rest}`: `{more}` is too much; {EXPECTED}")),
            None => Ok(delay),
        }
    }
}

const EXPECTED: &str = "expected `200ms`, `uniform:100ms:300ms`, `normal:200ms:50ms`, `exponential:200ms` or `pareto:100ms:1.5`";

fn shape(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no shape of a Pareto distribution: expected a number, as 1.5")
    })
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((kind, rest)) => Self::parse_named(kind.trim(), rest),
            None => units::duration::parse(text).map(Self::Fixed),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_duration;
        match *self {
            Self::Fixed(length) => write!(to, "{}", time(length)),
            Self::Uniform { from, to: longest } => {
                write!(to, "uniform:{}:{}", time(from), time(longest))
            }
            Self::Normal { mean, deviation } => {
                write!(to, "normal:{}:{}", time(mean), time(deviation))
            }
            Self::Exponential { mean } => write!(to, "exponential:{}", time(mean)),
            Self::Pareto { scale, shape } => write!(to, "pareto:{}:{shape}", time(scale)),
        }
    }
}

impl Serialize for Delay {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Delay {
    fn schema_name() -> Cow<'static, str> {
        "Delay".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A pause: always the same (`200ms`) or drawn anew each time: `uniform:FROM:TO`, `normal:MEAN:DEVIATION`, `exponential:MEAN`, `pareto:SHORTEST:SHAPE`.",
            "examples": ["200ms", "uniform:100ms:300ms", "normal:200ms:50ms", "exponential:200ms", "pareto:100ms:1.5"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Delay;

    #[test]
    fn delays_are_written_as_they_are_read() {
        for text in [
            "200ms",
            "uniform:100ms:300ms",
            "normal:200ms:50ms",
            "exponential:1s 500ms",
            "pareto:100ms:1.5",
        ] {
            assert_eq!(text.parse::<Delay>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_delay_that_cannot_be_read_says_what_was_expected() {
        for (text, part) in [
            ("200", "unit"),
            ("gauss:1s:1s", "`gauss` is no kind"),
            ("normal:1s", "standard deviation is missing"),
            ("normal:1s:1s:1s", "too much"),
            ("pareto:1s:x", "no shape"),
        ] {
            let error = text.parse::<Delay>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
