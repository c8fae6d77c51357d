//! Names and metric handles of one kind of traffic.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram};

use super::{
    AttemptOutcome, Direction, Flags, RequestOutcome, exemplars, outcome::effective, rule_label,
};
use crate::{
    catalog,
    register::{Kept, counter, gauge, histogram},
};

/// Conditions under which a policy may allow a retry.
const CONDITIONS: [&str; 5] = [
    "5xx",
    "gateway-error",
    "connect-failure",
    "reset",
    "attempt-timeout",
];
/// Why a retry was not made all the same.
const REFUSALS: [&str; 5] = [
    "budget_exhausted",
    "not_idempotent",
    "body_too_large",
    "deadline",
    "attempts_exhausted",
];
/// What became of attempts beside a slow one.
const HEDGES: [&str; 5] = ["won", "lost", "failed", "cancelled", "refused"];
/// Kinds of fault that hold a request, or keep its answer back.
const HOLDING: [&str; 4] = ["delay", "hang", "chunk_delay", "throttle"];
/// 1xx to 5xx, and no answer at all.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Status, gRPC status and flags: what the labels of an answer are made of.
type Answer = (Option<u16>, Option<u16>, Flags);

/// Names and kept metric handles of one (direction, source, destination, route);
/// made when a policy is put in force, not per request.
pub struct Edge {
    direction: Direction,
    source: Arc<str>,
    destination: Arc<str>,
    route: Arc<str>,
    /// Of the paths of the route, as `/orders/{id}`.
    template: Option<Arc<str>>,
    requests: Kept<(&'static str, &'static str, Answer), Counter>,
    durations: [OnceLock<Histogram>; CLASSES.len()],
    attempts: Kept<Answer, Counter>,
    attempt_durations: [OnceLock<Histogram>; CLASSES.len()],
    retries: Kept<&'static str, Counter>,
    saved: Kept<&'static str, Counter>,
    refused: Kept<&'static str, Counter>,
    hedges: Kept<&'static str, Counter>,
    shed: Kept<&'static str, Counter>,
    denied: OnceLock<Counter>,
    budget: OnceLock<Gauge>,
    in_flight: OnceLock<Gauge>,
    overhead: OnceLock<Histogram>,
    exemplars: exemplars::Kept,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Edge")
            .field("direction", &self.direction)
            .field("source", &self.source)
            .field("destination", &self.destination)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

impl Edge {
    /// Registers the metrics of this traffic. All names come from configuration.
    ///
    /// What is counted rarely (retries, refusals) exists at 0 from now on, so that
    /// the first one already shows in a rate.
    #[must_use]
    pub fn new(direction: Direction, source: &str, destination: &str, route: &str) -> Arc<Self> {
        let edge = Self::unregistered(direction, source, destination, route);
        edge.in_flight().increment(0.0);
        match direction {
            Direction::Outbound => {
                for condition in CONDITIONS {
                    edge.retries(condition).increment(0);
                    edge.saved(condition).increment(0);
                }
                for reason in REFUSALS {
                    edge.refused(reason).increment(0);
                }
                edge.budget().set(1.0);
            }
            Direction::Inbound => {
                edge.denied().increment(0);
            }
        }
        Arc::new(edge)
    }

    /// The same for an outbound route whose paths have this template.
    #[must_use]
    pub fn for_template(
        source: &str,
        destination: &str,
        route: &str,
        template: Option<&Arc<str>>,
    ) -> Arc<Self> {
        let mut edge = Self::new(Direction::Outbound, source, destination, route);
        if let Some(edge) = Arc::get_mut(&mut edge) {
            edge.template = template.cloned();
        }
        edge
    }

    /// Without any series until the first request: for traffic that may never come.
    pub(super) fn unregistered(
        direction: Direction,
        source: &str,
        destination: &str,
        route: &str,
    ) -> Self {
        Self {
            direction,
            source: source.into(),
            destination: destination.into(),
            route: route.into(),
            template: None,
            requests: Kept::default(),
            durations: Default::default(),
            attempts: Kept::default(),
            attempt_durations: Default::default(),
            retries: Kept::default(),
            saved: Kept::default(),
            refused: Kept::default(),
            hedges: Kept::default(),
            shed: Kept::default(),
            denied: OnceLock::new(),
            budget: OnceLock::new(),
            in_flight: OnceLock::new(),
            overhead: OnceLock::new(),
            exemplars: exemplars::Kept::default(),
        }
    }

    /// Which side of the sidecar.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The calling service.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The called service.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Name of the route.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Template of its paths: `http.route` of request spans, `url.template` of attempts.
    #[must_use]
    pub fn template(&self) -> Option<&Arc<str>> {
        self.template.as_ref()
    }

    /// Lets the counters of a chaos rule start at 0; for every fault the rule can
    /// inject here.
    pub fn register_rule(&self, rule: &str, fault: &'static str) {
        let rule = rule_label::label(rule);
        counter(
            &catalog::FAULTS,
            &[rule, fault, self.source(), self.destination()],
        )
        .increment(0);
        if HOLDING.contains(&fault) {
            gauge(&catalog::FAULT_ACTIVE, &[rule]).increment(0.0);
        }
    }

    /// Lets the counters of further retry conditions start at 0.
    pub fn register_conditions(&self, conditions: impl Iterator<Item = &'static str>) {
        for condition in conditions {
            self.retries(condition).increment(0);
            self.saved(condition).increment(0);
        }
    }

    /// Lets the counters of hedges start at 0: for routes that have them.
    pub fn register_hedges(&self) {
        for result in HEDGES {
            self.hedges(result).increment(0);
        }
    }

    pub(super) fn names(&self) -> [&Arc<str>; 3] {
        [&self.source, &self.destination, &self.route]
    }

    /// Counts a request; `seconds` to the last byte, `overhead` of the sidecar alone.
    pub(super) fn count_request(
        &self,
        method: &'static str,
        tls: &'static str,
        outcome: &RequestOutcome,
        seconds: f64,
        overhead: Option<f64>,
    ) {
        let answer = (outcome.status, outcome.grpc_status, outcome.flags);
        let requests = self.requests.get((method, tls, answer), || {
            let values = labels(answer);
            counter(
                &catalog::REQUESTS,
                &self.request_labels(method, tls, &values),
            )
        });
        requests.increment(1);
        let class = class(effective(outcome.status, outcome.grpc_status));
        let duration = self.durations[class]
            .get_or_init(|| histogram(&catalog::REQUEST_DURATION, &self.duration_labels(class)));
        duration.record(seconds);
        if let Some(overhead) = overhead {
            self.overhead().record(overhead);
        }
    }

    /// Counts one try at an endpoint.
    pub(super) fn count_attempt(&self, outcome: &AttemptOutcome, seconds: f64) {
        let answer = (outcome.status, outcome.grpc_status, outcome.flags);
        let attempts = self.attempts.get(answer, || {
            counter(&catalog::ATTEMPTS, &self.attempt_labels(&labels(answer)))
        });
        attempts.increment(1);
        let class = class(effective(outcome.status, outcome.grpc_status));
        let duration = self.attempt_durations[class].get_or_init(|| {
            histogram(
                &catalog::ATTEMPT_DURATION,
                &self.attempt_duration_labels(class),
            )
        });
        duration.record(seconds);
    }

    /// Values of [`catalog::REQUESTS`].
    pub(super) fn request_labels<'a>(
        &'a self,
        method: &'a str,
        tls: &'a str,
        [code, grpc, flags]: &'a [String; 3],
    ) -> [&'a str; 9] {
        let (direction, [source, destination, route]) = (self.direction.as_str(), self.strs());
        [
            direction,
            source,
            destination,
            route,
            method,
            code,
            grpc,
            flags,
            tls,
        ]
    }

    /// Values of [`catalog::REQUEST_DURATION`].
    pub(super) fn duration_labels(&self, class: usize) -> [&str; 5] {
        let [source, destination, route] = self.strs();
        let direction = self.direction.as_str();
        [direction, source, destination, route, CLASSES[class]]
    }

    /// Values of [`catalog::ATTEMPTS`].
    pub(super) fn attempt_labels<'a>(
        &'a self,
        [code, grpc, flags]: &'a [String; 3],
    ) -> [&'a str; 5] {
        [&self.source, &self.destination, code, grpc, flags]
    }

    /// Values of [`catalog::ATTEMPT_DURATION`].
    pub(super) fn attempt_duration_labels(&self, class: usize) -> [&str; 3] {
        [&self.source, &self.destination, CLASSES[class]]
    }

    pub(super) fn exemplars(&self) -> &exemplars::Kept {
        &self.exemplars
    }

    pub(super) fn retries(&self, condition: &'static str) -> Counter {
        let make = || {
            counter(
                &catalog::RETRIES,
                &[&self.source, &self.destination, condition],
            )
        };
        self.retries.get(condition, make)
    }

    pub(super) fn saved(&self, condition: &'static str) -> Counter {
        let make = || {
            counter(
                &catalog::RETRY_SUCCESS,
                &[&self.source, &self.destination, condition],
            )
        };
        self.saved.get(condition, make)
    }

    pub(super) fn refused(&self, reason: &'static str) -> Counter {
        let make = || {
            counter(
                &catalog::RETRY_REFUSED,
                &[&self.source, &self.destination, reason],
            )
        };
        self.refused.get(reason, make)
    }

    pub(super) fn hedges(&self, result: &'static str) -> Counter {
        let make = || counter(&catalog::HEDGES, &[&self.source, &self.destination, result]);
        self.hedges.get(result, make)
    }

    pub(super) fn shed(&self, reason: &'static str) -> Counter {
        let direction = self.direction.as_str();
        let make = || counter(&catalog::SHED, &[direction, &self.destination, reason]);
        self.shed.get(reason, make)
    }

    pub(super) fn denied(&self) -> &Counter {
        let labels = [&*self.source, &*self.destination];
        self.denied
            .get_or_init(|| counter(&catalog::AUTHORIZATION_DENIED, &labels))
    }

    pub(super) fn budget(&self) -> &Gauge {
        let labels = [&*self.source, &*self.destination];
        self.budget
            .get_or_init(|| gauge(&catalog::RETRY_BUDGET, &labels))
    }

    pub(super) fn in_flight(&self) -> &Gauge {
        let labels = [self.direction.as_str(), &self.destination];
        self.in_flight
            .get_or_init(|| gauge(&catalog::IN_FLIGHT, &labels))
    }

    fn overhead(&self) -> &Histogram {
        let labels = [self.direction.as_str()];
        self.overhead
            .get_or_init(|| histogram(&catalog::PROXY_OVERHEAD, &labels))
    }

    fn strs(&self) -> [&str; 3] {
        [&self.source, &self.destination, &self.route]
    }
}

/// `response_code`, `grpc_status` and `response_flags` of an answer.
pub(super) fn labels((status, grpc, flags): Answer) -> [String; 3] {
    let grpc = grpc.map_or_else(|| "-".to_owned(), |grpc| grpc.to_string());
    [status.unwrap_or(0).to_string(), grpc, flags.to_string()]
}

/// Position in [`CLASSES`].
pub(super) fn class(status: Option<u16>) -> usize {
    match status {
        Some(status @ 100..=599) => usize::from(status / 100),
        _ => 0,
    }
}
