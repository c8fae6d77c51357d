//! Which requests a rule strikes, and when.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::config::{FieldMatch, units};

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

/// Whether a rule that is on strikes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// It strikes every request that matches.
    #[default]
    Always,
    /// It strikes requests alone whose baggage names it, as `mesh.chaos=RULE_ID`
    /// (several: `mesh.chaos=ONE:OTHER`): a tester's, and nobody else's.
    Baggage,
}

impl Arm {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "what serde calls takes a reference"
    )]
    pub(super) fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

/// Conditions of a rule; all must hold, an absent one holds for every request. At most
/// one of the four kinds of path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleMatch {
    /// Methods; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The whole path, as `/payments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Prefix of the path, as `/payments`; matches whole segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Path with named segments, as `/orders/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_template: Option<String>,
    /// Regular expression for the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Name of the route at the caller's sidecar; for rules on an edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Headers; all must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FieldMatch>,
    /// Callers, by name of the service or, where the connection proves one, by SPIFFE
    /// ID; for rules on a node. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<String>,
    /// Members of the baggage; all must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub baggage: Vec<FieldMatch>,
}

impl RuleMatch {
    /// Whether every request matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// When a rule that is on strikes. Times count from being turned on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Quiet time at first.
    #[serde(
        with = "units::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<units::DurationText>")]
    pub after: Option<Duration>,
    /// From then on it strikes for so long …
    #[serde(
        with = "units::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<units::DurationText>")]
    pub on: Option<Duration>,
    /// … and is quiet for so long, again and again. `on` and `off` go together.
    #[serde(
        with = "units::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<units::DurationText>")]
    pub off: Option<Duration>,
    /// Time over which the share rises from 0 to what the rule says, after the quiet
    /// time at first.
    #[serde(
        with = "units::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<units::DurationText>")]
    pub ramp: Option<Duration>,
}

impl Schedule {
    /// Whether the rule strikes in full as long as it is on.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// The part of the rule's share that is in force at this time since it was turned
    /// on, 0 to 1.
    #[must_use]
    pub fn share(&self, since: Duration) -> f64 {
        let Some(running) = since.checked_sub(self.after.unwrap_or_default()) else {
            return 0.0;
        };
        if let (Some(on), Some(off)) = (self.on, self.off) {
            let cycle = (on + off).as_nanos().max(1);
            if running.as_nanos() % cycle >= on.as_nanos() {
                return 0.0;
            }
        }
        match self.ramp {
            Some(ramp) if running < ramp => running.as_secs_f64() / ramp.as_secs_f64(),
            _ => 1.0,
        }
    }
}

/// What turns a rule off before its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The edge (`gateway -> orders`), or the service for all that arrives there
    /// (`gateway`), whose success is watched.
    pub watch: Place,
    /// The rule is turned off when a smaller share of requests succeeds over ten
    /// seconds, 0 to 100.
    pub min_success: f64,
    /// Fewer requests than this in those ten seconds say nothing.
    #[serde(default = "Guard::default_min_requests")]
    pub min_requests: u64,
}

impl Guard {
    /// A guard that does not judge by a handful of requests.
    #[must_use]
    pub fn new(watch: Place, min_success: f64) -> Self {
        Self {
            watch,
            min_success,
            min_requests: Self::default_min_requests(),
        }
    }

    fn default_min_requests() -> u64 {
        20
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    fn share(schedule: &str, seconds: u64) -> f64 {
        let schedule: Schedule = serde_saphyr::from_str(schedule).unwrap();
        schedule.share(Duration::from_secs(seconds))
    }

    #[test]
    fn a_schedule_waits_cycles_and_ramps() {
        let schedule = "{ after: 10s, on: 5s, off: 15s, ramp: 40s }";
        let wanted = [
            (0, 0.0),
            (9, 0.0),
            (14, 0.1),
            (15, 0.0),
            (30, 0.5),
            (50, 1.0),
            (55, 0.0),
        ];
        for (seconds, share_then) in wanted {
            assert!(
                (share(schedule, seconds) - share_then).abs() < 1e-9,
                "{seconds}"
            );
        }
        assert!((share("{}", 0) - 1.0).abs() < f64::EPSILON);
    }
}
