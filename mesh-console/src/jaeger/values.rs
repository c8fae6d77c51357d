//! Values of OpenTelemetry as Jaeger's typed tags.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Otlp},
    trace::v1::span::SpanKind,
};
use serde_json::{Map, Value, json};

use super::model::Tag;

/// Jaeger's word for a kind; none for an unspecified one.
pub(super) fn kind(kind: i32) -> Option<&'static str> {
    match SpanKind::try_from(kind).ok()? {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    }
}

/// A tag from an attribute.
pub(super) fn tag(from: &KeyValue) -> Tag {
    let value = from.value.as_ref().and_then(|value| value.value.as_ref());
    let (kind, value) = match value {
        None => ("string", json!("")),
        Some(Otlp::StringValue(text)) => ("string", json!(text)),
        Some(Otlp::BoolValue(yes)) => ("bool", json!(yes)),
        Some(Otlp::IntValue(number)) => ("int64", json!(number)),
        // JSON has no words for infinity and not-a-number.
        Some(Otlp::DoubleValue(number)) if !number.is_finite() => {
            ("string", json!(number.to_string()))
        }
        Some(Otlp::DoubleValue(number)) => ("float64", json!(number)),
        Some(Otlp::BytesValue(bytes)) => ("binary", json!(base64(bytes))),
        Some(other) => ("string", json!(plain(other).to_string())),
    };
    Tag {
        key: from.key.clone(),
        kind,
        value,
    }
}

/// A tag of text.
pub(super) fn text(key: &str, value: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        kind: "string",
        value: json!(value),
    }
}

/// What a search compares a tag's value with.
pub(super) fn as_text(tag: &Tag) -> String {
    match &tag.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Arrays and maps, which Jaeger shows as JSON in a text.
fn plain(value: &Otlp) -> Value {
    match value {
        Otlp::StringValue(text) => json!(text),
        Otlp::BoolValue(yes) => json!(yes),
        Otlp::IntValue(number) => json!(number),
        Otlp::DoubleValue(number) => json!(number),
        Otlp::BytesValue(bytes) => json!(base64(bytes)),
        Otlp::ArrayValue(list) => list.values.iter().map(plain_any).collect(),
        Otlp::KvlistValue(map) => {
            let pairs = map.values.iter();
            let pairs = pairs.map(|one| {
                let value = one.value.as_ref().map_or(Value::Null, plain_any);
                (one.key.clone(), value)
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Otlp::StringValueStrindex(_) => Value::Null,
    }
}

fn plain_any(value: &AnyValue) -> Value {
    value.value.as_ref().map_or(Value::Null, plain)
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 0x3f;
            let filled = digit <= chunk.len();
            text.push(if filled {
                char::from(DIGITS[value as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_everywhere() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
