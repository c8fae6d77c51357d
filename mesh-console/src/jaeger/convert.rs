//! A stored trace as Jaeger shows it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use opentelemetry_proto::tonic::trace::v1::{Span as Otlp, span, status::StatusCode};
use serde_json::json;

use super::{
    model::{Log, Process, Reference, Span, Tag, Trace},
    values,
};
use crate::{
    hex,
    names::attribute,
    traces::{self, Origin, SpanId, Stored, TraceId, tree},
};

/// A whole trace; spans by start.
pub(super) fn trace(id: &TraceId, from: &traces::Trace) -> Trace {
    let trace_id = hex::encode(id);
    let loops = tree::loops(&from.spans);
    let mut processes = Processes::default();
    let mut spans: Vec<Span> = from
        .spans
        .iter()
        .map(|stored| span(&trace_id, stored, &loops, processes.of(&stored.origin)))
        .collect();
    spans.sort_by_key(|span| span.start_time);
    Trace {
        id: trace_id,
        spans,
        processes: processes.all,
        warnings: warnings(from),
    }
}

fn warnings(from: &traces::Trace) -> Vec<String> {
    let dropped = (from.dropped > 0).then(|| {
        format!(
            "{} spans are missing: the trace is too large for the store",
            from.dropped
        )
    });
    dropped.into_iter().collect()
}

fn span(trace_id: &str, stored: &Stored, loops: &HashSet<SpanId>, process_id: String) -> Span {
    let otlp = stored.decode();
    let looped = loops.contains(&stored.id);
    Span {
        trace_id: trace_id.to_owned(),
        id: hex::encode(&stored.id),
        operation_name: stored.name.to_string(),
        references: references(trace_id, stored.parent.filter(|_| !looped), &otlp),
        start_time: stored.start_ns / 1_000,
        duration: stored.duration_ns() / 1_000,
        tags: tags(stored, &otlp),
        logs: otlp.events.iter().map(log).collect(),
        process_id,
        warnings: span_warnings(stored, looped, &otlp),
    }
}

fn references(trace_id: &str, parent: Option<SpanId>, otlp: &Otlp) -> Vec<Reference> {
    let parent = parent.map(|parent| Reference {
        ref_type: "CHILD_OF",
        trace_id: trace_id.to_owned(),
        span_id: hex::encode(&parent),
    });
    let links = otlp.links.iter().map(|link| Reference {
        ref_type: "FOLLOWS_FROM",
        trace_id: hex::encode(&link.trace_id),
        span_id: hex::encode(&link.span_id),
    });
    parent.into_iter().chain(links).collect()
}

/// Attributes, then what Jaeger makes tags of.
pub(super) fn tags(stored: &Stored, otlp: &Otlp) -> Vec<Tag> {
    let mut tags: Vec<Tag> = otlp.attributes.iter().map(values::tag).collect();
    if !stored.origin.scope.is_empty() {
        tags.push(values::text("otel.scope.name", &stored.origin.scope));
    }
    if !stored.origin.scope_version.is_empty() {
        let version = &stored.origin.scope_version;
        tags.push(values::text("otel.scope.version", version));
    }
    if let Some(kind) = values::kind(stored.kind) {
        tags.push(values::text("span.kind", kind));
    }
    tags.extend(status_tags(otlp));
    if !otlp.trace_state.is_empty() {
        tags.push(values::text("w3c.tracestate", &otlp.trace_state));
    }
    tags
}

fn status_tags(otlp: &Otlp) -> Vec<Tag> {
    let Some(status) = &otlp.status else {
        return Vec::new();
    };
    let mut tags = match StatusCode::try_from(status.code) {
        Ok(StatusCode::Error) => vec![
            values::text("otel.status_code", "ERROR"),
            Tag {
                key: "error".to_owned(),
                kind: "bool",
                value: json!(true),
            },
        ],
        Ok(StatusCode::Ok) => vec![values::text("otel.status_code", "OK")],
        _ => Vec::new(),
    };
    if !status.message.is_empty() {
        tags.push(values::text("otel.status_description", &status.message));
    }
    tags
}

pub(super) fn log(event: &span::Event) -> Log {
    let name = (!event.name.is_empty()).then(|| values::text("event", &event.name));
    let fields = event.attributes.iter().map(values::tag);
    Log {
        timestamp: event.time_unix_nano / 1_000,
        fields: name.into_iter().chain(fields).collect(),
    }
}

fn span_warnings(stored: &Stored, looped: bool, otlp: &Otlp) -> Vec<String> {
    let mut warnings = Vec::new();
    if stored.repeated {
        warnings.push("another span with this id came later; the first one is shown".to_owned());
    }
    if looped {
        warnings.push("its parents lead back to itself; the parent is ignored".to_owned());
    }
    for (count, what) in [
        (otlp.dropped_attributes_count, "attributes"),
        (otlp.dropped_events_count, "events"),
        (otlp.dropped_links_count, "links"),
    ] {
        if count > 0 {
            warnings.push(format!("{count} {what} were dropped"));
        }
    }
    warnings
}

/// `p1`, `p2`, …: one for each resource.
#[derive(Default)]
struct Processes {
    all: BTreeMap<String, Process>,
    ids: HashMap<Vec<u8>, String>,
}

impl Processes {
    fn of(&mut self, origin: &Arc<Origin>) -> String {
        if let Some(id) = self.ids.get(&origin.resource) {
            return id.clone();
        }
        let id = format!("p{}", self.ids.len() + 1);
        self.ids.insert(origin.resource.clone(), id.clone());
        self.all.insert(id.clone(), process(origin));
        id
    }
}

/// Who made a span, from its resource.
pub(super) fn process(origin: &Origin) -> Process {
    let attributes = origin.resource().attributes;
    Process {
        service_name: origin.service.clone(),
        tags: attributes
            .iter()
            .filter(|one| one.key != attribute::SERVICE)
            .map(values::tag)
            .collect(),
    }
}
