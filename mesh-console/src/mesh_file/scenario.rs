//! Scenarios: experiments that are ready to be started, with what to look for.

use std::{fmt, time::Duration};

use mesh_proxy::config::{Place, Rule, units};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

use super::EdgePolicy;

/// Rules and changed policies that are in force together, for a while.
///
/// It has either `rules` (or `routes`, or both) or a `mystery`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name in the API, in messages and on the command line.
    pub id: String,
    /// One line.
    pub title: String,
    /// What happens, and why it is worth seeing.
    pub story: String,
    /// What to look for, one sentence each, in the order in which it shows.
    pub look_for: Vec<String>,
    /// How long it runs unless its start says otherwise.
    #[serde(
        default = "Scenario::default_time",
        with = "units::duration",
        rename = "for"
    )]
    pub time: Duration,
    /// Rules that are in force while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Cast>,
    /// Policies that it lays over those of the mesh file while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<EdgePolicy>,
    /// Rules of which the seed chooses one, which is hidden until it is revealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mystery: Vec<Suspect>,
}

impl Scenario {
    /// How long a scenario runs that does not say it: as long as a rule.
    #[must_use]
    pub fn default_time() -> Duration {
        Duration::from_mins(10)
    }

    /// Whether what it does is hidden.
    #[must_use]
    pub fn is_mystery(&self) -> bool {
        !self.mystery.is_empty()
    }
}

/// A rule of a scenario: the id of one that stands under `chaos`, or one of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cast {
    /// A rule under `chaos`, by its id.
    Toggle(String),
    /// A rule that is there only while the scenario runs.
    Own(Box<Rule>),
}

impl<'de> Deserialize<'de> for Cast {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CastVisitor)
    }
}

/// Not `untagged`: that would hide what is wrong with a rule.
struct CastVisitor;

impl<'de> de::Visitor<'de> for CastVisitor {
    type Value = Cast;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the id of a rule under `chaos`, or a rule")
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<Cast, E> {
        Ok(Cast::Toggle(id.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Cast, A::Error> {
        let rule = Rule::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Cast::Own(Box::new(rule)))
    }
}

/// A rule that a mystery may be, and what the seed chooses about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// The rule; its id is for the file alone: in force it has the scenario's.
    pub rule: Rule,
    /// Places, one of which takes the place of the rule's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// Between these lies the rule's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<PercentRange>,
    /// Between these lies the rule's delay, which is then always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<TimeRange>,
}

/// From one share to another, both 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PercentRange {
    /// Smallest.
    pub from: f64,
    /// Largest.
    pub to: f64,
}

/// From one time to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// Shortest.
    #[serde(with = "units::duration")]
    pub from: Duration,
    /// Longest.
    #[serde(with = "units::duration")]
    pub to: Duration,
}

#[cfg(test)]
mod tests {
    use super::{Cast, Scenario};

    const STORM: &str = "
id: storm
title: A storm
story: It rains.
look_for: [Drops.]
for: 3m
rules:
  - flaky
  - { id: dead, where: b, abort: 503 }
routes:
  - { from: a, to: b, policy: { retry: { attempts: 5 }, budget: { share: 9, floor: 9 } } }
";

    #[test]
    fn a_scenario_is_read_and_written_alike() {
        let scenario: Scenario = serde_saphyr::from_str(STORM).unwrap();
        assert_eq!(scenario.rules[0], Cast::Toggle("flaky".to_owned()));
        assert!(matches!(&scenario.rules[1], Cast::Own(rule) if rule.id == "dead"));
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario);
    }

    #[test]
    fn what_is_wrong_with_a_rule_of_a_scenario_is_told() {
        let error = serde_saphyr::from_str::<Scenario>(&STORM.replace("abort: 503", "abrot: 503"));
        assert!(error.unwrap_err().to_string().contains("abrot"));
    }
}
