//! Variables of the call to the collector. What is said for traces alone wins.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Get, complaint, parse};

/// Complains of what this exporter cannot do.
pub(super) fn check(get: &Get<'_>, complaints: &mut Vec<String>) {
    for (end, only, expected) in [
        ("PROTOCOL", "grpc", "grpc, the only one built in"),
        ("COMPRESSION", "none", "none, for none is built in"),
    ] {
        for name in names(end) {
            if let Some(other) = get(&name).filter(|value| value != only) {
                complaints.push(complaint(&name, &other, expected));
            }
        }
    }
}

/// Longest for one try.
pub(super) fn timeout(get: &Get<'_>, complaints: &mut Vec<String>) -> Option<Duration> {
    let expected = "a whole number of milliseconds";
    let found = names("TIMEOUT").into_iter().find_map(|name| {
        let value = get(&name)?;
        parse(&name, &value, expected, complaints)
    });
    found.map(Duration::from_millis)
}

/// `key=value,key=value`, values as in URLs. What they say may be secret: it appears
/// in no complaint and no log.
pub(super) fn headers(get: &Get<'_>, complaints: &mut Vec<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let found = names("HEADERS")
        .into_iter()
        .find_map(|name| get(&name).map(|value| (name, value)));
    let Some((name, value)) = found else {
        return headers;
    };
    for pair in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        match header(pair) {
            Some((name, value)) => drop(headers.append(name, value)),
            None => complaints.push(complaint(&name, "…", "key=value,key=value")),
        }
    }
    headers
}

fn names(end: &str) -> [String; 2] {
    ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].map(|start| format!("{start}{end}"))
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = value.trim();
    let decoded = decoded(value).unwrap_or_else(|| value.to_owned());
    let mut value = HeaderValue::from_str(&decoded)
        .ok()
        .filter(|it| !it.is_empty())?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// `%20` and the like; none when it is not meant so.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Environment;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Environment::from(&|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn headers_are_keys_and_values_as_in_urls() {
        let read = environment(&[(
            "OTEL_EXPORTER_OTLP_HEADERS",
            " api-key = a%20b%3D ,x=100%,x=2, ",
        )]);
        assert!(read.complaints.is_empty(), "{:?}", read.complaints);
        assert_eq!(read.headers["api-key"], "a b=");
        let both: Vec<_> = read.headers.get_all("x").iter().collect();
        assert_eq!(both, ["100%", "2"]);
        assert!(!format!("{read:?}").contains("a b="), "it may be a secret");
    }

    #[test]
    fn what_is_said_for_traces_wins() {
        let read = environment(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "for=all"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "for=traces"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ]);
        assert_eq!(read.headers["for"], "traces");
        assert_eq!(read.try_timeout, Some(Duration::from_millis(250)));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let read = environment(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ]);
        assert_eq!(read.complaints.len(), 3, "{:?}", read.complaints);
        let told = read.complaints.join("\n");
        assert!(!told.contains("secret"), "{told}");
    }
}
