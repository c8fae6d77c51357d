//! Attributes of request and attempt spans.

use std::sync::Arc;

use http::{HeaderValue, Uri, Version};
use opentelemetry::{KeyValue, Value};

use crate::proxy::{
    Direction, Flags,
    outcome::{grpc_name, method_label},
    record::{Attempt, Race, Record},
};

/// Attributes in the making.
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push(KeyValue::new(key, value));
        self
    }

    fn maybe(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Of a gRPC call: the method is the path without its slash.
    fn rpc(self, record: &Record, status: Option<u16>) -> Self {
        if !record.grpc {
            return self;
        }
        let method = record.uri.path().trim_start_matches('/');
        self.with("rpc.system.name", "grpc")
            .with("rpc.method", method.to_owned())
            .maybe("rpc.response.status_code", status.map(grpc_name))
    }

    fn flags(self, flags: Flags) -> Self {
        let text = (!flags.is_empty()).then(|| flags.to_string());
        self.maybe("mesh.response_flags", text)
    }
}

pub(super) fn request(record: &Record) -> Vec<KeyValue> {
    let [source, destination, route] = record.edge.names();
    let outcome = &record.outcome;
    let attributes = Attributes(Vec::with_capacity(20))
        .with("mesh.source", Arc::clone(source))
        .with("mesh.destination", Arc::clone(destination))
        .with("mesh.route", Arc::clone(route))
        .with("http.request.method", method_label(&record.method))
        .with("url.path", record.uri.path().to_owned())
        .maybe("http.route", record.edge.template().map(Arc::clone))
        .maybe("network.protocol.version", version(record.version))
        .maybe("http.response.status_code", outcome.status.map(i64::from))
        .rpc(record, outcome.grpc_status)
        .maybe("error.type", request_error(record))
        .maybe("mesh.reason", record.reason())
        .flags(outcome.flags)
        .maybe(
            "mesh.deadline_ms",
            record.deadline_left.map(|left| left.as_secs_f64() * 1e3),
        );
    match record.direction {
        Direction::Outbound => outbound(attributes, record),
        Direction::Inbound => inbound(attributes, record),
    }
}

fn outbound(attributes: Attributes, record: &Record) -> Vec<KeyValue> {
    attributes
        .with("mesh.attempts", count(record.attempts.len()))
        .maybe("mesh.rewritten_path", rewritten(record))
        .maybe("mesh.budget_remaining", record.budget_left)
        .maybe("mesh.retry_refused", record.retry_refused)
        .maybe("mesh.hedge_refused", record.hedge_refused)
        .0
}

fn inbound(attributes: Attributes, record: &Record) -> Vec<KeyValue> {
    let hop = record.attempts.first();
    let secured = record.secured.as_ref();
    let scheme = if secured.is_some() { "https" } else { "http" };
    attributes
        .with("url.scheme", scheme)
        .maybe("server.address", text(record.host.as_ref()))
        .maybe("user_agent.original", text(record.user_agent.as_ref()))
        .maybe("tls.protocol.version", secured.map(|it| it.version))
        .maybe("mesh.peer_identity", secured.and_then(|it| it.peer.clone()))
        .maybe(
            "mesh.endpoint",
            hop.map(|hop| Arc::clone(&hop.start.endpoint)),
        )
        .maybe(
            "mesh.upstream_ms",
            hop.map(|hop| hop.duration().as_secs_f64() * 1e3),
        )
        .0
}

pub(super) fn attempt(record: &Record, attempt: &Attempt) -> Vec<KeyValue> {
    let (start, outcome) = (&attempt.start, &attempt.outcome);
    let (host, port) = address(&start.endpoint);
    let secured = attempt.secured.as_ref();
    let scheme = if secured.is_some() { "https" } else { "http" };
    // Without an answer nobody has proved to be the one that was expected.
    let answered = secured.filter(|_| outcome.status.is_some());
    Attributes(Vec::with_capacity(20))
        .with("http.request.method", method_label(&record.method))
        .with(
            "url.full",
            format!("{scheme}://{}{}", start.endpoint, asked_for(record).path()),
        )
        .maybe("url.template", record.edge.template().map(Arc::clone))
        .with("server.address", host.to_owned())
        .maybe("server.port", port.map(i64::from))
        .maybe("http.request.resend_count", resend_count(start.number))
        .maybe("http.response.status_code", outcome.status.map(i64::from))
        .rpc(record, outcome.grpc_status)
        .maybe(
            "network.protocol.version",
            outcome.version.and_then(version),
        )
        .maybe("error.type", attempt_error(attempt))
        .with("service.peer.name", Arc::clone(record.edge.names()[1]))
        .with("mesh.endpoint", Arc::clone(&start.endpoint))
        .maybe("tls.protocol.version", answered.map(|it| it.version))
        .maybe(
            "mesh.peer_identity",
            answered.and_then(|it| it.peer.clone()),
        )
        .with("mesh.attempt", i64::from(start.number))
        .maybe("mesh.hedge", attempt.hedge.then_some(true))
        .maybe("mesh.cancelled", cancelled(attempt))
        .with("mesh.balancer.load", start.load)
        .with(
            "mesh.breaker.state",
            if attempt.probe { "half_open" } else { "closed" },
        )
        .flags(outcome.flags)
        .0
}

/// Why nobody waited for the answer.
fn cancelled(attempt: &Attempt) -> Option<&'static str> {
    match attempt.race {
        Race::Lost => Some("hedge"),
        Race::Undecided | Race::Won => attempt.cancelled.then_some("caller"),
    }
}

/// What attempts ask for.
fn asked_for(record: &Record) -> &Uri {
    record.rewritten.as_ref().unwrap_or(&record.uri)
}

/// The path that attempts ask for, where it is another.
fn rewritten(record: &Record) -> Option<String> {
    let path = record.rewritten.as_ref()?.path();
    (path != record.uri.path()).then(|| path.to_owned())
}

/// Only on a repetition: 1 on the second attempt.
fn resend_count(number: u32) -> Option<i64> {
    (number > 1).then(|| i64::from(number) - 1)
}

/// A code of low cardinality: why this sidecar failed, else the status from 500 on.
fn request_error(record: &Record) -> Option<Value> {
    let outcome = &record.outcome;
    if record.cancelled {
        return None;
    }
    match (outcome.reason, outcome.status) {
        (Some(reason), Some(500..) | None) => Some(reason.into()),
        (None, Some(status @ 500..)) => Some(status.to_string().into()),
        (None, None) => Some("_OTHER".into()),
        // gRPC answers 200, and says beside it that it failed.
        (None, Some(200)) if record.failed() => outcome.grpc_status.map(grpc_name).map(Value::from),
        _ => None,
    }
}

/// The same for an attempt, from 400 on.
fn attempt_error(attempt: &Attempt) -> Option<Value> {
    match (attempt.outcome.error, attempt.outcome.status) {
        _ if attempt.cancelled => None,
        (Some(error), _) => Some(error.into()),
        (None, Some(status @ 400..)) => Some(status.to_string().into()),
        (None, None) => Some("_OTHER".into()),
        (None, Some(200)) => {
            let failed = attempt.outcome.grpc_status.filter(|code| *code != 0);
            failed.map(grpc_name).map(Value::from)
        }
        _ => None,
    }
}

fn address(endpoint: &str) -> (&str, Option<u16>) {
    match endpoint.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().ok()),
        None => (endpoint, None),
    }
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
