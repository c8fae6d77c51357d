//! Searching as Jaeger does: one span must fulfil all conditions.

use std::{collections::BTreeMap, sync::Arc};

use super::{MOST_TRACES, convert, model, values};
use crate::traces::{Stored, Trace, TraceStore};

/// Jaeger's default for `limit`.
const LIMIT: usize = 100;

/// Decoded parameters of a URL; a name may come several times.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(decoded.collect())
    }

    /// All values of a name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(one, _)| one == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// First value of a name that is not empty.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().find(|value| !value.is_empty())
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("parameter '{name}': `{text}` is no whole number"))
        };
        self.one(name).map(parse).transpose()
    }
}

/// Percent and plus decoding of a URL's query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let value = escaped.and_then(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        rest = if value.is_some() { &tail[2..] } else { tail };
        bytes.push(value.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A search.
#[derive(Debug)]
pub(super) struct Query {
    service: String,
    operation: Option<String>,
    tags: BTreeMap<String, String>,
    /// Bounds of the span's duration, nanoseconds.
    shortest: Option<u64>,
    longest: Option<u64>,
    /// Bounds of its start, nanoseconds since the Unix epoch.
    from: Option<u64>,
    to: Option<u64>,
    limit: usize,
}

impl Query {
    pub(super) fn read(params: &Params) -> Result<Self, String> {
        let service = params
            .one("service")
            .ok_or("parameter 'service' is required")?;
        let micros = |name| -> Result<Option<u64>, String> {
            Ok(params
                .number(name)?
                .map(|micros| micros.saturating_mul(1_000)))
        };
        let limit = params.number("limit")?;
        Ok(Self {
            service: service.to_owned(),
            operation: params
                .one("operation")
                .filter(|name| *name != "all")
                .map(str::to_owned),
            tags: tags(params)?,
            shortest: duration(params, "minDuration")?,
            longest: duration(params, "maxDuration")?,
            from: micros("start")?,
            to: micros("end")?,
            limit: limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(MOST_TRACES)),
        })
    }

    /// Traces with a span that fulfils everything, newest first.
    pub(super) fn run(&self, store: &TraceStore) -> Vec<model::Trace> {
        store
            .all()
            .iter()
            .filter(|(_, trace)| self.matches(trace))
            .take(self.limit.min(MOST_TRACES))
            .map(|(id, trace)| convert::trace(id, trace))
            .collect()
    }

    fn matches(&self, trace: &Arc<Trace>) -> bool {
        trace.spans.iter().any(|span| {
            self.matches_facts(span) && (self.tags.is_empty() || self.matches_tags(span))
        })
    }

    fn matches_facts(&self, span: &Stored) -> bool {
        let duration = span.duration_ns();
        span.origin.service == self.service
            && self
                .operation
                .as_deref()
                .is_none_or(|name| *span.name == *name)
            && self.shortest.is_none_or(|least| duration >= least)
            && self.longest.is_none_or(|most| duration <= most)
            && self.from.is_none_or(|from| span.start_ns >= from)
            && self.to.is_none_or(|to| span.start_ns <= to)
    }

    /// Tags of the span, of its process and of its logs count alike.
    fn matches_tags(&self, span: &Stored) -> bool {
        let otlp = span.decode();
        let mut there = convert::tags(span, &otlp);
        there.extend(convert::process(&span.origin).tags);
        there.extend(
            otlp.events
                .iter()
                .flat_map(|event| convert::log(event).fields),
        );
        self.tags.iter().all(|(key, value)| {
            there
                .iter()
                .any(|tag| tag.key == *key && values::as_text(tag) == *value)
        })
    }
}

/// `tags={"error":"true"}` and `tag=error:true`, both as often as wanted.
fn tags(params: &Params) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    for text in params
        .all("tags")
        .into_iter()
        .filter(|text| !text.is_empty())
    {
        let more: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            format!("malformed 'tags' parameter, cannot unmarshal JSON: {error}; write {{\"key\":\"value\"}}")
        })?;
        tags.extend(more);
    }
    for text in params.all("tag") {
        let (key, value) = text.split_once(':').ok_or_else(|| {
            format!("malformed 'tag' parameter, expecting key:value, received: {text}")
        })?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

/// A duration as Go writes it, `1.2s`, `100ms`, `1m30s`, in nanoseconds.
fn duration(params: &Params, name: &str) -> Result<Option<u64>, String> {
    let Some(text) = params.one(name) else {
        return Ok(None);
    };
    go_duration(text).map(Some).ok_or_else(|| {
        format!("parameter '{name}': `{text}` is no duration; write `1.2s`, `100ms` or `500us`")
    })
}

fn go_duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        total += number.parse::<f64>().ok()? * nanoseconds(unit)?;
        rest = tail;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the sum of positive numbers; more than fits becomes the largest"
    )]
    (!text.is_empty()).then_some(total as u64)
}

fn nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3_600e9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, String> {
        Query::read(&Params::parse(Some(query)))
    }

    #[test]
    fn parameters_are_decoded() {
        let query = read(
            "service=a%20b&operation=GET+%2Fx&tags=%7B%22error%22%3A%22true%22%7D&tag=k:v:w&limit=5",
        )
        .unwrap();
        assert_eq!(query.service, "a b");
        assert_eq!(query.operation.as_deref(), Some("GET /x"));
        assert_eq!(query.tags["error"], "true");
        assert_eq!(query.tags["k"], "v:w");
        assert_eq!(query.limit, 5);
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%é"), "%é");
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, nanos) in [
            ("1.2s", 1_200_000_000),
            ("100ms", 100_000_000),
            ("1m30s", 90_000_000_000),
            ("5µs", 5_000),
        ] {
            assert_eq!(go_duration(text), Some(nanos), "{text}");
        }
        for text in ["", "5", "s", "-5s", "1x", "1..2s"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(read("").unwrap_err().contains("'service' is required"));
        assert!(read("service=a&tags=x").unwrap_err().contains("'tags'"));
        assert!(read("service=a&tag=x").unwrap_err().contains("key:value"));
        assert!(read("service=a&limit=x").unwrap_err().contains("'limit'"));
        assert!(
            read("service=a&minDuration=5")
                .unwrap_err()
                .contains("100ms")
        );
    }
}
