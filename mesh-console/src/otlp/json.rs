//! OTLP/JSON: ids in hex, enums as numbers (or, from some senders, names), 64-bit
//! numbers as text or number, unknown keys ignored.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1 as common,
    resource::v1::Resource,
    trace::v1::{self as trace, span},
};
use serde::{Deserialize, Deserializer, de::Error};

/// Reads an export.
pub(super) fn read(body: &[u8]) -> Result<ExportTraceServiceRequest, serde_json::Error> {
    let export: Export = serde_json::from_slice(body)?;
    Ok(ExportTraceServiceRequest {
        resource_spans: each(export.resource_spans),
    })
}

fn each<A: Into<B>, B>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(Into::into).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    #[serde(default, deserialize_with = "or_nothing")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceSpans {
    #[serde(deserialize_with = "or_nothing")]
    resource: Attributed,
    #[serde(deserialize_with = "or_nothing")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Attributed {
    #[serde(deserialize_with = "or_nothing")]
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeSpans {
    #[serde(deserialize_with = "or_nothing")]
    scope: Scope,
    #[serde(deserialize_with = "or_nothing")]
    spans: Vec<Span>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scope {
    #[serde(deserialize_with = "or_nothing")]
    name: String,
    #[serde(deserialize_with = "or_nothing")]
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    #[serde(deserialize_with = "hex")]
    trace_id: Vec<u8>,
    #[serde(rename = "spanId", deserialize_with = "hex")]
    id: Vec<u8>,
    #[serde(rename = "parentSpanId", deserialize_with = "hex")]
    parent: Vec<u8>,
    #[serde(deserialize_with = "or_nothing")]
    trace_state: String,
    #[serde(deserialize_with = "or_nothing")]
    name: String,
    #[serde(deserialize_with = "kind")]
    kind: i32,
    #[serde(deserialize_with = "large")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "large")]
    end_time_unix_nano: u64,
    #[serde(deserialize_with = "or_nothing")]
    attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "or_nothing")]
    events: Vec<Event>,
    #[serde(deserialize_with = "or_nothing")]
    links: Vec<Link>,
    #[serde(deserialize_with = "or_nothing")]
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    #[serde(deserialize_with = "large")]
    time_unix_nano: u64,
    #[serde(deserialize_with = "or_nothing")]
    name: String,
    #[serde(deserialize_with = "or_nothing")]
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Link {
    #[serde(deserialize_with = "hex")]
    trace_id: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    span_id: Vec<u8>,
    #[serde(deserialize_with = "or_nothing")]
    trace_state: String,
    #[serde(deserialize_with = "or_nothing")]
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_nothing")]
    message: String,
    #[serde(deserialize_with = "status_code")]
    code: i32,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default, deserialize_with = "or_nothing")]
    value: AnyValue,
}

/// At most one of these is set.
#[expect(clippy::struct_field_names, reason = "the names are OTLP's")]
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Number>,
    double_value: Option<Number>,
    array_value: Option<Values>,
    kvlist_value: Option<Pairs>,
    bytes_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Values {
    #[serde(deserialize_with = "or_nothing")]
    values: Vec<AnyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pairs {
    #[serde(deserialize_with = "or_nothing")]
    values: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Large(u64),
    Real(f64),
    Text(String),
}

impl Number {
    fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        match self {
            Self::Whole(number) => number.to_string().parse().ok(),
            Self::Large(number) => number.to_string().parse().ok(),
            Self::Real(number) => number.to_string().parse().ok(),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

/// Protobuf's JSON lets senders write `null` for what is absent.
fn or_nothing<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

fn hex<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(from)?.unwrap_or_default();
    let pair = |at: usize| text.get(at..at + 2);
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(pair(at)?, 16).ok())
        .collect::<Option<_>>()
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no id: expected hex digits")))
}

fn large<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Option::<Number>::deserialize(from)? {
        None => Ok(0),
        Some(number) => number
            .parse()
            .ok_or_else(|| D::Error::custom("expected nanoseconds since the Unix epoch")),
    }
}

fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    number_or_name(from, |name| {
        span::SpanKind::from_str_name(name).map(|kind| kind as i32)
    })
}

fn status_code<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    number_or_name(from, |name| {
        trace::status::StatusCode::from_str_name(name).map(|code| code as i32)
    })
}

fn number_or_name<'de, D: Deserializer<'de>>(
    from: D,
    named: impl Fn(&str) -> Option<i32>,
) -> Result<i32, D::Error> {
    match Option::<Number>::deserialize(from)? {
        None => Ok(0),
        Some(Number::Text(name)) if named(&name).is_some() => Ok(named(&name).unwrap_or(0)),
        Some(number) => number
            .parse()
            .ok_or_else(|| D::Error::custom("expected an enum's number or name")),
    }
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(from: ResourceSpans) -> Self {
        Self {
            resource: Some(Resource {
                attributes: each(from.resource.attributes),
                ..Resource::default()
            }),
            scope_spans: each(from.scope_spans),
            ..Self::default()
        }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(from: ScopeSpans) -> Self {
        Self {
            scope: Some(common::InstrumentationScope {
                name: from.scope.name,
                version: from.scope.version,
                ..common::InstrumentationScope::default()
            }),
            spans: each(from.spans),
            ..Self::default()
        }
    }
}

impl From<Span> for trace::Span {
    fn from(from: Span) -> Self {
        Self {
            trace_id: from.trace_id,
            span_id: from.id,
            parent_span_id: from.parent,
            trace_state: from.trace_state,
            name: from.name,
            kind: from.kind,
            start_time_unix_nano: from.start_time_unix_nano,
            end_time_unix_nano: from.end_time_unix_nano,
            attributes: each(from.attributes),
            events: each(from.events),
            links: each(from.links),
            status: from.status.map(|status| trace::Status {
                message: status.message,
                code: status.code,
            }),
            ..Self::default()
        }
    }
}

impl From<Event> for span::Event {
    fn from(from: Event) -> Self {
        Self {
            time_unix_nano: from.time_unix_nano,
            name: from.name,
            attributes: each(from.attributes),
            ..Self::default()
        }
    }
}

impl From<Link> for span::Link {
    fn from(from: Link) -> Self {
        Self {
            trace_id: from.trace_id,
            span_id: from.span_id,
            trace_state: from.trace_state,
            attributes: each(from.attributes),
            ..Self::default()
        }
    }
}

impl From<KeyValue> for common::KeyValue {
    fn from(from: KeyValue) -> Self {
        Self {
            key: from.key,
            value: Some(from.value.into()),
            ..Self::default()
        }
    }
}

impl From<AnyValue> for common::AnyValue {
    fn from(from: AnyValue) -> Self {
        use common::any_value::Value;
        let value = from
            .string_value
            .map(Value::StringValue)
            .or(from.bool_value.map(Value::BoolValue))
            .or_else(|| from.int_value?.parse().map(Value::IntValue))
            .or_else(|| from.double_value?.parse().map(Value::DoubleValue))
            .or_else(|| Some(Value::ArrayValue(from.array_value?.into())))
            .or_else(|| Some(Value::KvlistValue(from.kvlist_value?.into())))
            // Kept as the text it came as: nothing here writes bytes.
            .or(from.bytes_value.map(Value::StringValue));
        Self { value }
    }
}

impl From<Values> for common::ArrayValue {
    fn from(from: Values) -> Self {
        Self {
            values: each(from.values),
        }
    }
}

impl From<Pairs> for common::KeyValueList {
    fn from(from: Pairs) -> Self {
        Self {
            values: each(from.values),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::any_value::Value;

    use super::*;

    /// As senders in several languages write it: numbers as text and as numbers,
    /// kinds by name and by number, `null`, and keys of tomorrow.
    const EXPORT: &str = r#"{"resourceSpans":[{
      "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"py"}}],"tomorrow":1},
      "scopeSpans":[{"scope":{"name":"lib","version":null},"spans":[{
        "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parentSpanId":"",
        "name":"GET /","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":1544712661000000000,"flags":257,
        "attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"m","value":{"intValue":8}},
          {"key":"d","value":{"doubleValue":1.5}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true}]}}},
          {"key":"new","value":{"tomorrow":{}}}],
        "events":null,"links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175"}],
        "status":{"code":2,"message":"no"}}]}]}]}"#;

    #[test]
    fn every_way_to_write_it_is_read() {
        let export = read(EXPORT.as_bytes()).unwrap();
        let of_scope = &export.resource_spans[0].scope_spans[0];
        let span = &of_scope.spans[0];
        assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
        assert_eq!(span.kind, span::SpanKind::Server as i32);
        assert_eq!(
            span.end_time_unix_nano - span.start_time_unix_nano,
            1_000_000_000
        );
        let value = |at: usize| span.attributes[at].value.clone().unwrap().value;
        assert_eq!(value(0), Some(Value::IntValue(7)));
        assert_eq!(value(1), Some(Value::IntValue(8)));
        assert_eq!(value(2), Some(Value::DoubleValue(1.5)));
        assert!(matches!(value(3), Some(Value::ArrayValue(_))));
        assert_eq!(value(4), None);
        assert_eq!(span.links.len(), 1);
        assert_eq!(span.status.as_ref().unwrap().code, 2);
    }

    #[test]
    fn nonsense_is_an_error_that_says_where() {
        let error = read(br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}"#);
        assert!(error.unwrap_err().to_string().contains("`xyz` is no id"));
        assert!(read(b"[1").is_err());
    }
}
