//! Chaos rules: one schema for the mesh file, the API and the command line.

mod abort;
mod delay;
mod fault;
mod place;
mod scope;

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HeaderChanges, units};

pub use abort::Abort;
pub use delay::Delay;
pub use fault::{FaultKind, Throttle, Truncate};
pub use place::Place;
pub use scope::{Arm, Guard, Position, RuleMatch, Schedule};

/// Faults to inject: where, into which requests, and what.
///
/// Several faults of one rule are drawn independently of each other. Whether one
/// strikes an attempt is a function of seed, rule id, kind of fault, trace id and
/// number of the attempt alone, compared with the share that is in force at the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "faults that take no parameter; each is a key of its own in the file"
)]
pub struct Rule {
    /// Name in metrics, spans and messages: lower-case letters, digits and `-`.
    pub id: String,
    /// What it shows, for people.
    #[serde(default)]
    pub description: String,
    /// `orders -> payments` (a bad edge), `payments` (a bad node) or `payments-2` (one
    /// bad instance).
    #[serde(rename = "where")]
    pub place: Place,
    /// Which requests there; absent: all.
    #[serde(
        rename = "match",
        default,
        skip_serializing_if = "RuleMatch::is_everything"
    )]
    pub matches: RuleMatch,
    /// Whether requests must ask for the rule.
    #[serde(default, skip_serializing_if = "Arm::is_always")]
    pub arm: Arm,
    /// Share of what matches, 0 to 100, for each of the rule's faults.
    #[serde(default = "Rule::all")]
    pub percent: f64,
    /// Share of single kinds of fault, in place of `percent`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub percent_of: BTreeMap<FaultKind, f64>,
    /// Before or after the retry layer; see [`Position`].
    #[serde(default)]
    pub position: Position,
    /// Only the first so many attempts of each request: what comes after them succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempts: Option<u32>,
    /// Only the first so many requests (at position `attempt`: attempts) that would be
    /// struck, at each sidecar: what comes after them succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_requests: Option<u64>,
    /// Most requests (at position `attempt`: attempts) that are affected at the same
    /// time, at each sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_affected: Option<usize>,
    /// Pause before the attempt goes on, as `200ms` or `normal:200ms:50ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Pause before each piece of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_delay: Option<Delay>,
    /// Answer instead of the upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
    /// The connection breaks before there is an answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reset: bool,
    /// No answer, until somebody gives up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hang: bool,
    /// Nobody takes the connection.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refuse: bool,
    /// The answer's body comes no faster than this, as `10KiB/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// The answer's body breaks off after so much, as `100B`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
    /// On average one byte of the answer's body in each so many is changed, as `64B`;
    /// at least one of a body that is not empty.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "units::optional_size"
    )]
    #[schemars(with = "Option<units::SizeText>")]
    pub corrupt: Option<u64>,
    /// Changes to the headers of the request.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_nothing")]
    pub request_headers: HeaderChanges,
    /// Changes to the headers of the answer.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_nothing")]
    pub response_headers: HeaderChanges,
    /// Start of every draw.
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
    /// When within that time it strikes; absent: always.
    #[serde(default, skip_serializing_if = "Schedule::is_always")]
    pub schedule: Schedule,
    /// What turns the rule off before its time; the console watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// When the rule ends, in milliseconds since the Unix epoch; written by the
    /// console when it turns a rule on, so that a sidecar without a console still
    /// drops it in time.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
}

impl Rule {
    /// A rule of this id and place that is on, for its default time, with no fault yet.
    #[must_use]
    pub fn new(id: &str, place: Place) -> Self {
        Self {
            id: id.to_owned(),
            description: String::new(),
            place,
            matches: RuleMatch::default(),
            arm: Arm::default(),
            percent: Self::all(),
            percent_of: BTreeMap::new(),
            position: Position::default(),
            first_attempts: None,
            first_requests: None,
            max_affected: None,
            delay: None,
            chunk_delay: None,
            abort: None,
            reset: false,
            hang: false,
            refuse: false,
            throttle: None,
            truncate: None,
            corrupt: None,
            request_headers: HeaderChanges::default(),
            response_headers: HeaderChanges::default(),
            seed: 0,
            enabled: Self::on(),
            ttl: Self::default_ttl(),
            schedule: Schedule::default(),
            guard: None,
            expires_at_ms: None,
        }
    }

    /// Kinds of fault that the rule injects, in the order in which they strike.
    pub fn faults(&self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.into_iter().filter(|kind| self.has(*kind))
    }

    /// Share of what matches that this kind of fault strikes, 0 to 100.
    #[must_use]
    pub fn percent_of(&self, kind: FaultKind) -> f64 {
        self.percent_of.get(&kind).copied().unwrap_or(self.percent)
    }

    fn has(&self, kind: FaultKind) -> bool {
        match kind {
            FaultKind::RequestHeaders => !self.request_headers.is_nothing(),
            FaultKind::Delay => self.delay.is_some(),
            FaultKind::Refuse => self.refuse,
            FaultKind::Reset => self.reset,
            FaultKind::Hang => self.hang,
            FaultKind::Abort => self.abort.is_some(),
            FaultKind::ResponseHeaders => !self.response_headers.is_nothing(),
            FaultKind::ChunkDelay => self.chunk_delay.is_some(),
            FaultKind::Throttle => self.throttle.is_some(),
            FaultKind::Corrupt => self.corrupt.is_some(),
            FaultKind::Truncate => self.truncate.is_some(),
        }
    }

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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls takes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, Rule};

    const EVERYTHING: &str = "
id: everything
description: all at once
where: orders -> payments
match:
  methods: [POST]
  path_template: '/payments/{id}'
  route: payments
  callers: [orders]
  headers: [{ name: x-user, exact: ann }]
  baggage: [{ name: tester, prefix: a }]
arm: baggage
percent: 30
percent_of: { delay: 50, abort: 10 }
position: request
first_attempts: 2
first_requests: 10
max_affected: 5
delay: normal:200ms:50ms
chunk_delay: exponential:20ms
abort: { status: 503, body: sorry, content_type: text/plain }
reset: true
hang: true
refuse: true
throttle: 10KiB/s
truncate: 100B
corrupt: 64B
request_headers: { remove: [x-a] }
response_headers: { set: { x-b: c } }
seed: 7
for: 2m
schedule: { after: 10s, on: 5s, off: 5s, ramp: 1m }
guard: { watch: gateway -> orders, min_success: 95, min_requests: 20 }
";

    #[test]
    fn a_rule_with_everything_is_read_and_written_alike() {
        let rule: Rule = serde_saphyr::from_str(EVERYTHING).unwrap();
        assert_eq!(rule.faults().count(), FaultKind::ALL.len());
        assert!((rule.percent_of(FaultKind::Abort) - 10.0).abs() < f64::EPSILON);
        assert!((rule.percent_of(FaultKind::Hang) - 30.0).abs() < f64::EPSILON);
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }

    #[test]
    fn what_a_rule_does_not_say_is_not_written() {
        let rule: Rule = serde_saphyr::from_str("{ id: a, where: payments, abort: 503 }").unwrap();
        let json = serde_json::to_value(&rule).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        let wanted = [
            "abort",
            "description",
            "enabled",
            "expires_at_ms",
            "for",
            "id",
            "percent",
            "position",
            "seed",
            "where",
        ];
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(sorted, wanted);
        assert_eq!(json["abort"], 503);
    }

    #[test]
    fn a_rule_made_in_code_is_the_one_that_says_nothing() {
        let read: Rule = serde_saphyr::from_str("{ id: a, where: payments }").unwrap();
        assert_eq!(Rule::new("a", "payments".parse().unwrap()), read);
    }
}
