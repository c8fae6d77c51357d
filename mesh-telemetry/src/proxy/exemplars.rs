//! Which observations of a request lead to its trace.
//!
//! All of this runs at the exporter, and for kept requests only.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use opentelemetry::trace::SpanId;
use tokio::time::Instant;

use super::{
    Direction, Edge,
    edge::{CLASSES, class, labels},
    outcome::{effective, method_label},
    record::{Attempt, Note, Record},
    rule_label,
};
use crate::{
    catalog::{self, Metric},
    exemplar::{self, Exemplar, Exemplars, Pending},
};

/// Stores of the histograms that every kept request adds to: looked up once.
#[derive(Debug, Default)]
pub(super) struct Kept {
    requests: [OnceLock<Arc<Exemplars>>; CLASSES.len()],
    attempts: [OnceLock<Arc<Exemplars>>; CLASSES.len()],
    overhead: OnceLock<Arc<Exemplars>>,
}

/// Adds what the request and its attempts were counted under.
pub(super) fn of(record: &Record, to: &mut Vec<Pending>) {
    let Some(ended) = record.ended else { return };
    let edge = &*record.edge;
    let outcome = &record.outcome;
    let status = effective(outcome.status, outcome.grpc_status);
    let mut add = Adding {
        record,
        span_id: record.span_id,
        at: ended,
        to,
    };
    add.one(
        edge.request_exemplars(class(status)),
        record.duration().as_secs_f64(),
    );
    if let Some(overhead) = record.overhead() {
        add.one(edge.overhead_exemplars(), overhead);
    }
    if record.failed() {
        let answer = labels((outcome.status, outcome.grpc_status, outcome.flags));
        let method = method_label(&record.method);
        let values = edge.request_labels(method, record.tls(), &answer);
        add.rare(&catalog::REQUESTS, &values);
    }
    add.retries();
    add.faults(&record.notes);
    for attempt in &record.attempts {
        add.attempt(attempt);
    }
}

struct Adding<'a> {
    record: &'a Record,
    span_id: SpanId,
    at: Instant,
    to: &'a mut Vec<Pending>,
}

impl Adding<'_> {
    fn one(&mut self, series: &Arc<Exemplars>, value: f64) {
        let exemplar = Exemplar {
            trace_id: self.record.trace_id,
            span_id: self.span_id,
            value,
            at: self.time(),
        };
        let series = Arc::clone(series);
        self.to.push(Pending { series, exemplar });
    }

    /// Of a counter that few requests move: its store is looked up.
    fn rare(&mut self, metric: &'static Metric, values: &[&str]) {
        self.one(&exemplar::series(metric, values), 1.0);
    }

    fn time(&self) -> SystemTime {
        self.record.started_at + (self.at - self.record.started)
    }

    fn retries(&mut self) {
        let names = (self.record.edge.source(), self.record.edge.destination());
        let (source, destination) = names;
        if let Some(condition) = self.record.retried() {
            self.rare(&catalog::RETRIES, &[source, destination, condition]);
        }
        if let Some(condition) = self.record.saved() {
            self.rare(&catalog::RETRY_SUCCESS, &[source, destination, condition]);
        }
        if let Some(reason) = self.record.retry_refused {
            self.rare(&catalog::RETRY_REFUSED, &[source, destination, reason]);
        }
    }

    fn faults(&mut self, notes: &[(Instant, Note)]) {
        let (source, destination) = (self.record.edge.source(), self.record.edge.destination());
        for (_, note) in notes {
            let Note::Fault(fault) = note else { continue };
            let rule = rule_label::label(&fault.rule);
            self.rare(&catalog::FAULTS, &[rule, fault.fault, source, destination]);
            if let Some(actual) = fault.actual {
                let delays = exemplar::series(&catalog::FAULT_DELAY, &[rule]);
                self.one(&delays, actual.as_secs_f64());
            }
        }
    }

    /// Inbound it is the hop to the application, which is counted nowhere and has no
    /// span: what happened on it is the request's.
    fn attempt(&mut self, attempt: &Attempt) {
        if self.record.direction == Direction::Outbound {
            self.span_id = attempt.span_id;
            self.at = attempt.ended.unwrap_or(attempt.started);
            let edge = &*self.record.edge;
            let outcome = &attempt.outcome;
            let status = effective(outcome.status, outcome.grpc_status);
            self.one(edge.attempt_exemplars(class(status)), attempt.seconds());
            if outcome.error.is_some() || status.is_some_and(|status| status >= 500) {
                let answer = labels((outcome.status, outcome.grpc_status, outcome.flags));
                self.rare(&catalog::ATTEMPTS, &edge.attempt_labels(&answer));
            }
        }
        self.faults(&attempt.notes);
    }
}

impl Edge {
    fn request_exemplars(&self, class: usize) -> &Arc<Exemplars> {
        self.exemplars().requests[class].get_or_init(|| {
            exemplar::series(&catalog::REQUEST_DURATION, &self.duration_labels(class))
        })
    }

    fn attempt_exemplars(&self, class: usize) -> &Arc<Exemplars> {
        self.exemplars().attempts[class].get_or_init(|| {
            exemplar::series(
                &catalog::ATTEMPT_DURATION,
                &self.attempt_duration_labels(class),
            )
        })
    }

    fn overhead_exemplars(&self) -> &Arc<Exemplars> {
        let labels = [self.direction().as_str()];
        self.exemplars()
            .overhead
            .get_or_init(|| exemplar::series(&catalog::PROXY_OVERHEAD, &labels))
    }
}
