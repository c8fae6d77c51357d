//! Attributes on their way out, borrowed from wherever they are kept.

use std::sync::Arc;

use opentelemetry::{Array, KeyValue};

use super::wire;

/// Value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    /// Text that was never put together.
    Joined([&'a str; 4]),
    Int(i64),
    Double(f64),
    Bool(bool),
    List(&'a Array),
}

/// Something that attributes are written to.
pub(crate) trait Attributes {
    /// Writes one.
    fn with(&mut self, key: &str, value: Value<'_>);

    /// Writes one, if it is there.
    fn maybe<'a>(&mut self, key: &str, value: Option<impl Into<Value<'a>>>) {
        if let Some(value) = value {
            self.with(key, value.into());
        }
    }
}

/// As key-value messages in a field of the message that is being written.
pub(crate) struct Pairs<'a> {
    pub(super) to: &'a mut Vec<u8>,
    pub(super) field: u8,
}

impl Attributes for Pairs<'_> {
    fn with(&mut self, key: &str, value: Value<'_>) {
        let value_len = value.len();
        let key_len = if key.is_empty() {
            0
        } else {
            1 + wire::field_len(key.len())
        };
        wire::length(
            self.to,
            self.field,
            key_len + 1 + wire::field_len(value_len),
        );
        wire::bytes(self.to, 1, key.as_bytes());
        wire::length(self.to, 2, value_len);
        value.write(self.to);
    }
}

/// Writes the SDK's attributes.
pub(super) fn all<'a>(pairs: impl IntoIterator<Item = &'a KeyValue>, to: &mut Pairs<'_>) {
    for pair in pairs {
        to.with(pair.key.as_str(), Value::from(&pair.value));
    }
}

impl Value<'_> {
    /// Bytes of the message `AnyValue`. Exactly one of its fields is there, and it is
    /// written even when zero.
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => 1 + wire::field_len(text.len()),
            Self::Joined(parts) => 1 + wire::field_len(joined_len(parts)),
            Self::Int(number) => 1 + wire::varint_len(number.cast_unsigned()),
            Self::Double(_) => 9,
            Self::Bool(_) => 2,
            Self::List(list) => 1 + wire::field_len(list_len(list)),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                wire::length(to, 1, text.len());
                to.extend_from_slice(text.as_bytes());
            }
            Self::Joined(parts) => {
                wire::length(to, 1, joined_len(parts));
                for part in parts {
                    to.extend_from_slice(part.as_bytes());
                }
            }
            Self::Bool(truth) => to.extend_from_slice(&[2 << 3, u8::from(*truth)]),
            Self::Int(number) => {
                to.push(3 << 3);
                wire::varint(to, number.cast_unsigned());
            }
            Self::Double(number) => wire::fixed64(to, 4, number.to_bits()),
            Self::List(list) => {
                wire::length(to, 5, list_len(list));
                each(list, |value| {
                    wire::length(to, 1, value.len());
                    value.write(to);
                });
            }
        }
    }
}

fn joined_len(parts: &[&str; 4]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

fn list_len(list: &Array) -> usize {
    let mut len = 0;
    each(list, |value| len += 1 + wire::field_len(value.len()));
    len
}

/// The values of a list; kinds of lists that a later SDK may know are left empty.
fn each(list: &Array, mut on: impl FnMut(Value<'_>)) {
    match list {
        Array::Bool(list) => list.iter().for_each(|it| on(Value::Bool(*it))),
        Array::I64(list) => list.iter().for_each(|it| on(Value::Int(*it))),
        Array::F64(list) => list.iter().for_each(|it| on(Value::Double(*it))),
        Array::String(list) => list.iter().for_each(|it| on(Value::Text(it.as_str()))),
        _ => {}
    }
}

impl<'a> From<&'a opentelemetry::Value> for Value<'a> {
    fn from(value: &'a opentelemetry::Value) -> Self {
        match value {
            opentelemetry::Value::Bool(truth) => Self::Bool(*truth),
            opentelemetry::Value::I64(number) => Self::Int(*number),
            opentelemetry::Value::F64(number) => Self::Double(*number),
            opentelemetry::Value::String(text) => Self::Text(text.as_str()),
            opentelemetry::Value::Array(list) => Self::List(list),
            _ => Self::Text("(of a kind unknown here)"), // a later SDK may add kinds
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Arc<str>> for Value<'a> {
    fn from(text: &'a Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
