//! Ids as clients send them: `7` and `"7"` are the same.

use std::fmt;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Id of a user or a product: a positive integer. It is written as a number
/// and read from a number or a string of digits, because clients that keep ids
/// as text send back what they got in quotes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, example = 1, minimum = 1)]
pub struct Id(pub i64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor).map(Id)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a positive integer id, as 7 or \"7\"")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i64, E> {
        if value > 0 {
            return Ok(value);
        }
        Err(E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            .and_then(|value| self.visit_i64(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<i64, E> {
        value
            .parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(value), &self))
            .and_then(|value| self.visit_i64(value))
    }
}

/// Reads an id that is text of the service's choice (an order's), also from a
/// client that sends a number.
pub fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    let text = match Either::deserialize(deserializer) {
        Ok(Either::Text(text)) => text,
        Ok(Either::Number(number)) => number.to_string(),
        Err(_) => return Err(D::Error::custom("expected an id as text or a number")),
    };
    if text.is_empty() || text.len() > 64 {
        return Err(D::Error::custom("expected an id of 1 to 64 characters"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_digits_in_quotes_are_the_same_id() {
        let ids: Vec<Id> = serde_json::from_str(r#"[7, "7"]"#).unwrap();
        assert_eq!(ids, [Id(7), Id(7)]);
        assert_eq!(serde_json::to_string(&Id(7)).unwrap(), "7");
    }

    #[test]
    fn what_is_no_positive_integer_is_refused() {
        for bad in ["0", "-1", "1.5", "\"x\"", "null", "99999999999999999999"] {
            assert!(serde_json::from_str::<Id>(bad).is_err(), "{bad}");
        }
    }
}
