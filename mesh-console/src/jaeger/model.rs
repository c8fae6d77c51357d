//! Shapes of Jaeger's JSON.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// What every answer is wrapped in.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<T> {
    pub(crate) data: Vec<T>,
    pub(crate) total: usize,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    /// `null` where there are none, as Jaeger writes it.
    #[serde(serialize_with = "null_for_none")]
    pub(crate) errors: Vec<Problem>,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) code: u16,
    pub(crate) msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

impl<T> Envelope<T> {
    /// An answer with its total.
    pub(crate) fn counted(data: Vec<T>) -> Self {
        Self {
            total: data.len(),
            ..Self::uncounted(data)
        }
    }

    /// An answer as Jaeger gives it for traces: the total stays 0.
    pub(crate) fn uncounted(data: Vec<T>) -> Self {
        Self {
            data,
            total: 0,
            limit: 0,
            offset: 0,
            errors: Vec::new(),
        }
    }
}

/// The envelope of a failure, whose data is `null`.
pub(crate) fn failure(status: StatusCode, message: &str) -> Value {
    serde_json::json!({
        "data": null, "total": 0, "limit": 0, "offset": 0,
        "errors": [{ "code": status.as_u16(), "msg": message }],
    })
}

/// A trace.
#[derive(Debug, Serialize)]
pub(crate) struct Trace {
    #[serde(rename = "traceID")]
    pub(crate) id: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) processes: BTreeMap<String, Process>,
    #[serde(serialize_with = "null_for_none")]
    pub(crate) warnings: Vec<String>,
}

/// A span; times in microseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) id: String,
    pub(crate) operation_name: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) start_time: u64,
    pub(crate) duration: u64,
    pub(crate) tags: Vec<Tag>,
    pub(crate) logs: Vec<Log>,
    #[serde(rename = "processID")]
    pub(crate) process_id: String,
    #[serde(serialize_with = "null_for_none")]
    pub(crate) warnings: Vec<String>,
}

/// Parent (`CHILD_OF`) or link (`FOLLOWS_FROM`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) ref_type: &'static str,
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
}

/// A typed value by key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: Value,
}

/// An event of a span.
#[derive(Debug, Serialize)]
pub(crate) struct Log {
    pub(crate) timestamp: u64,
    pub(crate) fields: Vec<Tag>,
}

/// Who made spans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) service_name: String,
    pub(crate) tags: Vec<Tag>,
}

/// Calls between two services.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dependency {
    pub(crate) parent: String,
    pub(crate) child: String,
    pub(crate) call_count: u64,
}

fn null_for_none<S, T>(list: &[T], to: S) -> Result<S::Ok, S::Error>
where
    S: serde::Serializer,
    T: Serialize,
{
    if list.is_empty() {
        to.serialize_none()
    } else {
        list.serialize(to)
    }
}
