//! A trace, as the Jaeger query API gives it, put into the order of a tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// A trace with its spans in drawing order.
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) spans: Vec<Span>,
    /// Earliest start and latest end, microseconds since the Unix epoch.
    pub(super) start_us: u64,
    pub(super) end_us: u64,
}

/// A span at its place in the tree.
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(super) start_us: u64,
    pub(super) duration_us: u64,
    pub(crate) tags: Tags,
    pub(crate) events: Vec<Event>,
    /// For each level above, whether more siblings follow; then its own.
    pub(super) more: Vec<bool>,
}

/// Something that happened at a moment of a span.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) fields: Tags,
}

/// Attributes by key.
#[derive(Default)]
pub(crate) struct Tags(BTreeMap<String, Value>);

impl Tags {
    fn new(tags: Vec<KeyValue>) -> Self {
        Self(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    /// A value as text; none: the attribute is absent or empty.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let text = match self.0.get(key)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// A number, also one that is written as text.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok()
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<RawTrace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTrace {
    #[serde(rename = "traceID")]
    id: String,
    spans: Vec<RawSpan>,
    processes: BTreeMap<String, RawProcess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpan {
    #[serde(rename = "spanID")]
    id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    #[serde(default)]
    tags: Vec<KeyValue>,
    #[serde(default)]
    logs: Vec<Log>,
    #[serde(rename = "processID")]
    process: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "spanID")]
    span: String,
}

#[derive(Deserialize)]
struct Log {
    fields: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProcess {
    service_name: String,
}

impl Trace {
    pub(crate) fn from_jaeger(answer: &Value) -> anyhow::Result<Self> {
        let answer =
            Answer::deserialize(answer).context("the console's trace is not understood")?;
        let raw = answer.data.into_iter().next();
        let raw = raw.context("the console answered without a trace")?;
        let end = |span: &RawSpan| span.start_time + span.duration;
        Ok(Self {
            start_us: raw.spans.iter().map(|s| s.start_time).min().unwrap_or(0),
            end_us: raw.spans.iter().map(end).max().unwrap_or(0),
            id: raw.id,
            spans: in_order(raw.spans, &raw.processes),
        })
    }

    /// The first root; none in an empty trace.
    pub(super) fn root(&self) -> Option<&Span> {
        self.spans.first()
    }

    pub(super) fn services(&self) -> usize {
        let names: BTreeSet<&str> = self.spans.iter().map(|s| s.service.as_str()).collect();
        names.len()
    }
}

impl RawSpan {
    fn parent(&self) -> Option<&str> {
        let parent = self.references.iter().find(|r| r.ref_type == "CHILD_OF");
        parent.map(|reference| reference.span.as_str())
    }

    fn into_span(self, processes: &BTreeMap<String, RawProcess>, more: Vec<bool>) -> Span {
        let process = processes.get(&self.process);
        Span {
            service: process
                .map_or("unknown", |p| p.service_name.as_str())
                .to_owned(),
            name: self.operation_name,
            start_us: self.start_time,
            duration_us: self.duration,
            tags: Tags::new(self.tags),
            events: self.logs.into_iter().map(event).collect(),
            more,
        }
    }
}

fn event(log: Log) -> Event {
    let fields = Tags::new(log.fields);
    Event {
        name: fields.text("event").unwrap_or_default(),
        fields,
    }
}

fn spans(answer: &Value) -> &[Value] {
    let spans = answer.pointer("/data/0/spans").and_then(Value::as_array);
    spans.map_or(&[], Vec::as_slice)
}

/// How many spans an answer of the Jaeger query API holds.
pub(super) fn span_count(answer: &Value) -> usize {
    spans(answer).len()
}

/// Did the last span of an answer end within this time?
pub(super) fn is_young(answer: &Value, within: Duration) -> bool {
    let end = |span: &Value| Some(span["startTime"].as_u64()? + span["duration"].as_u64()?);
    let last = spans(answer).iter().filter_map(end).max().unwrap_or(0);
    let last = UNIX_EPOCH + Duration::from_micros(last);
    SystemTime::now()
        .duration_since(last)
        .is_ok_and(|age| age < within)
}

/// Depth first, siblings by start. A span whose parent is missing is a root:
/// nothing is hidden. Spans that call each other parent are cut loose.
fn in_order(spans: Vec<RawSpan>, processes: &BTreeMap<String, RawProcess>) -> Vec<Span> {
    let mut spans: Vec<RawSpan> = spans;
    spans.sort_by_key(|span| (span.start_time, std::cmp::Reverse(span.duration)));
    let ids: BTreeSet<String> = spans.iter().map(|span| span.id.clone()).collect();
    let mut children: BTreeMap<Option<String>, Vec<RawSpan>> = BTreeMap::new();
    for span in spans {
        let parent = span.parent().filter(|parent| ids.contains(*parent));
        let parent = parent.map(str::to_owned);
        children.entry(parent).or_default().push(span);
    }
    let mut ordered = Vec::new();
    let mut next = Some(None);
    while let Some(parent) = next {
        visit(parent.as_ref(), &mut children, processes, &mut ordered);
        // What is left hangs in a circle.
        next = children.keys().next().cloned();
    }
    ordered
}

/// Walks without recursion: a trace may be deeper than the stack.
fn visit(
    root: Option<&String>,
    children: &mut BTreeMap<Option<String>, Vec<RawSpan>>,
    processes: &BTreeMap<String, RawProcess>,
    ordered: &mut Vec<Span>,
) {
    let mut stack: Vec<(RawSpan, Vec<bool>)> = Vec::new();
    let push = |stack: &mut Vec<(RawSpan, Vec<bool>)>, spans: Vec<RawSpan>, above: &[bool]| {
        for (at, span) in spans.into_iter().rev().enumerate() {
            let mut more = above.to_vec();
            more.push(at > 0);
            stack.push((span, more));
        }
    };
    push(
        &mut stack,
        children.remove(&root.cloned()).unwrap_or_default(),
        &[],
    );
    while let Some((span, more)) = stack.pop() {
        let below = children.remove(&Some(span.id.clone())).unwrap_or_default();
        push(&mut stack, below, &more);
        ordered.push(span.into_span(processes, more));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn span(id: &str, parent: Option<&str>, start: u64) -> Value {
        let references: Vec<Value> = parent
            .map(|parent| json!({ "refType": "CHILD_OF", "traceID": "t", "spanID": parent }))
            .into_iter()
            .collect();
        json!({ "spanID": id, "operationName": id, "references": references,
            "startTime": start, "duration": 5, "processID": "p1" })
    }

    fn names(spans: &[Value]) -> Vec<String> {
        let answer = json!({ "data": [{ "traceID": "t", "spans": spans,
            "processes": { "p1": { "serviceName": "shop" } } }] });
        let trace = Trace::from_jaeger(&answer).unwrap();
        trace.spans.into_iter().map(|span| span.name).collect()
    }

    #[test]
    fn spans_are_ordered_by_tree_and_start() {
        let spans = [
            span("late", Some("root"), 30),
            span("leaf", Some("early"), 25),
            span("root", None, 10),
            span("early", Some("root"), 20),
        ];
        assert_eq!(names(&spans), ["root", "early", "leaf", "late"]);
    }

    #[test]
    fn a_span_without_its_parent_is_shown_as_a_root() {
        let spans = [span("root", None, 10), span("orphan", Some("lost"), 20)];
        assert_eq!(names(&spans), ["root", "orphan"]);
    }

    #[test]
    fn spans_in_a_circle_are_shown_once() {
        let spans = [span("a", Some("b"), 10), span("b", Some("a"), 20)];
        let mut names = names(&spans);
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}
