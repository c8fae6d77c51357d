//! Attributes of request and attempt spans.

use std::borrow::Cow;

use http::{HeaderValue, Uri, Version};

use crate::{
    otlp::{Attributes, Value},
    proxy::{
        Direction, Flags,
        outcome::{grpc_name, method_label},
        record::{Attempt, Race, Record},
    },
};

pub(super) fn request(record: &Record, to: &mut impl Attributes) {
    let [source, destination, route] = record.edge.names();
    let outcome = &record.outcome;
    to.with("mesh.source", source.into());
    to.with("mesh.destination", destination.into());
    to.with("mesh.route", route.into());
    to.with("http.request.method", method_label(&record.method).into());
    to.with("url.path", record.uri.path().into());
    to.maybe("http.route", record.edge.template());
    to.maybe("network.protocol.version", version(record.version));
    to.maybe("http.response.status_code", outcome.status.map(i64::from));
    rpc(record, outcome.grpc_status, to);
    to.maybe("error.type", request_error(record).as_deref());
    to.maybe("mesh.reason", record.reason());
    flags(outcome.flags, to);
    to.maybe(
        "mesh.deadline_ms",
        record.deadline_left.map(|left| left.as_secs_f64() * 1e3),
    );
    match record.direction {
        Direction::Outbound => outbound(record, to),
        Direction::Inbound => inbound(record, to),
    }
}

fn outbound(record: &Record, to: &mut impl Attributes) {
    to.with("mesh.attempts", count(record.attempts.len()).into());
    to.maybe("mesh.rewritten_path", rewritten(record));
    to.maybe("mesh.budget_remaining", record.budget_left);
    to.maybe("mesh.retry_refused", record.retry_refused);
    to.maybe("mesh.hedge_refused", record.hedge_refused);
}

fn inbound(record: &Record, to: &mut impl Attributes) {
    let hop = record.attempts.first();
    let secured = record.secured.as_ref();
    let scheme = if secured.is_some() { "https" } else { "http" };
    to.with("url.scheme", scheme.into());
    to.maybe("server.address", text(record.host.as_ref()));
    to.maybe("user_agent.original", text(record.user_agent.as_ref()));
    to.maybe("tls.protocol.version", secured.map(|it| it.version));
    to.maybe(
        "mesh.peer_identity",
        secured.and_then(|it| it.peer.as_ref()),
    );
    to.maybe("mesh.endpoint", hop.map(|hop| &hop.start.endpoint));
    to.maybe(
        "mesh.upstream_ms",
        hop.map(|hop| hop.duration().as_secs_f64() * 1e3),
    );
}

pub(super) fn attempt(record: &Record, attempt: &Attempt, to: &mut impl Attributes) {
    let (start, outcome) = (&attempt.start, &attempt.outcome);
    let (host, port) = address(&start.endpoint);
    let secured = attempt.secured.as_ref();
    let scheme = if secured.is_some() { "https" } else { "http" };
    // Without an answer nobody has proved to be the one that was expected.
    let answered = secured.filter(|_| outcome.status.is_some());
    let url = [scheme, "://", &start.endpoint, asked_for(record).path()];
    to.with("http.request.method", method_label(&record.method).into());
    to.with("url.full", Value::Joined(url));
    to.maybe("url.template", record.edge.template());
    to.with("server.address", host.into());
    to.maybe("server.port", port.map(i64::from));
    to.maybe("http.request.resend_count", resend_count(start.number));
    to.maybe("http.response.status_code", outcome.status.map(i64::from));
    rpc(record, outcome.grpc_status, to);
    to.maybe(
        "network.protocol.version",
        outcome.version.and_then(version),
    );
    to.maybe("error.type", attempt_error(attempt).as_deref());
    to.with("service.peer.name", record.edge.names()[1].into());
    to.with("mesh.endpoint", (&start.endpoint).into());
    to.maybe("tls.protocol.version", answered.map(|it| it.version));
    to.maybe(
        "mesh.peer_identity",
        answered.and_then(|it| it.peer.as_ref()),
    );
    to.with("mesh.attempt", i64::from(start.number).into());
    to.maybe("mesh.hedge", attempt.hedge.then_some(true));
    to.maybe("mesh.cancelled", cancelled(attempt));
    to.with("mesh.balancer.load", start.load.into());
    let breaker = if attempt.probe { "half_open" } else { "closed" };
    to.with("mesh.breaker.state", breaker.into());
    flags(outcome.flags, to);
}

/// Of a gRPC call: the method is the path without its slash.
fn rpc(record: &Record, status: Option<u16>, to: &mut impl Attributes) {
    if record.grpc {
        let method = record.uri.path().trim_start_matches('/');
        to.with("rpc.system.name", "grpc".into());
        to.with("rpc.method", method.into());
        to.maybe("rpc.response.status_code", status.map(grpc_name));
    }
}

fn flags(flags: Flags, to: &mut impl Attributes) {
    if !flags.is_empty() {
        to.with("mesh.response_flags", flags.to_string().as_str().into());
    }
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
fn rewritten(record: &Record) -> Option<&str> {
    let path = record.rewritten.as_ref()?.path();
    (path != record.uri.path()).then_some(path)
}

/// Only on a repetition: 1 on the second attempt.
fn resend_count(number: u32) -> Option<i64> {
    (number > 1).then(|| i64::from(number) - 1)
}

/// A code of low cardinality: why this sidecar failed, else the status from 500 on.
fn request_error(record: &Record) -> Option<Cow<'static, str>> {
    let outcome = &record.outcome;
    if record.cancelled {
        return None;
    }
    match (outcome.reason, outcome.status) {
        (Some(reason), Some(500..) | None) => Some(reason.into()),
        (None, Some(status @ 500..)) => Some(status.to_string().into()),
        (None, None) => Some("_OTHER".into()),
        // gRPC answers 200, and says beside it that it failed.
        (None, Some(200)) if record.failed() => outcome.grpc_status.map(grpc_name).map(Cow::from),
        _ => None,
    }
}

/// The same for an attempt, from 400 on.
fn attempt_error(attempt: &Attempt) -> Option<Cow<'static, str>> {
    match (attempt.outcome.error, attempt.outcome.status) {
        _ if attempt.cancelled => None,
        (Some(error), _) => Some(error.into()),
        (None, Some(status @ 400..)) => Some(status.to_string().into()),
        (None, None) => Some("_OTHER".into()),
        (None, Some(200)) => {
            let failed = attempt.outcome.grpc_status.filter(|code| *code != 0);
            failed.map(grpc_name).map(Cow::from)
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

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
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
