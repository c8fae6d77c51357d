//! A record as one line. Written by hand: this runs once a request, and allocates
//! nothing.

use std::{
    fmt::Display,
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::proxy::record::{Attempt, Record};

/// One JSON object. What is not known has no key.
pub(super) fn json(to: &mut Vec<u8>, record: &Record) {
    let outcome = &record.outcome;
    to.extend_from_slice(b"{\"time\":\"");
    time(to, record.started_at);
    to.extend_from_slice(b"\",\"trace_id\":\"");
    hex(to, &record.trace_id.to_bytes());
    to.extend_from_slice(b"\",\"span_id\":\"");
    hex(to, &record.span_id.to_bytes());
    to.push(b'"');
    string(to, "direction", record.direction.as_str());
    let [source, destination, route] = record.edge.names();
    string(to, "source", source);
    string(to, "destination", destination);
    string(to, "route", route);
    string(to, "method", record.method.as_str());
    string(to, "path", record.uri.path());
    if let Some(status) = outcome.status {
        value(to, "status", status);
    }
    if let Some(status) = outcome.grpc_status {
        value(to, "grpc_status", status);
    }
    if !outcome.flags.is_empty() {
        key(to, "flags");
        let _ = write!(to, "\"{}\"", outcome.flags); // a vector takes everything
    }
    if let Some(reason) = record.reason() {
        string(to, "reason", reason);
    }
    value(to, "attempts", record.attempts.len());
    key(to, "duration_ms");
    milliseconds(to, record);
    if let Some(bytes) = record.request_bytes {
        value(to, "bytes_in", bytes);
    }
    if let Some(bytes) = outcome.bytes {
        value(to, "bytes_out", bytes);
    }
    if let Some(endpoint) = endpoint(record) {
        string(to, "endpoint", endpoint);
    }
    if let Some(peer) = record.secured.as_ref().and_then(|it| it.peer.as_deref()) {
        string(to, "peer", peer);
    }
    to.extend_from_slice(b"}\n");
}

/// For people: `-` stands for what is not known.
pub(super) fn text(to: &mut Vec<u8>, record: &Record) {
    let outcome = &record.outcome;
    time(to, record.started_at);
    let [source, destination, route] = record.edge.names();
    let direction = record.direction.as_str();
    let _ = write!(
        to,
        " {direction} {source} -> {destination} {route} {} ",
        record.method
    );
    bare(to, record.uri.path());
    to.push(b' ');
    number_or_dash(to, outcome.status);
    let _ = write!(to, " {} {} ", outcome.flags, record.reason().unwrap_or("-"));
    milliseconds(to, record);
    let _ = write!(to, "ms {} ", record.attempts.len());
    number_or_dash(to, outcome.bytes);
    let _ = write!(to, " {} ", endpoint(record).unwrap_or("-"));
    hex(to, &record.trace_id.to_bytes());
    to.push(b'\n');
}

fn endpoint(record: &Record) -> Option<&str> {
    let last: &Attempt = record.attempts.last()?;
    Some(&last.start.endpoint)
}

fn number_or_dash(to: &mut Vec<u8>, number: Option<impl Display>) {
    let _ = match number {
        Some(number) => write!(to, "{number}"),
        None => write!(to, "-"),
    };
}

fn key(to: &mut Vec<u8>, key: &str) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(key.as_bytes());
    to.extend_from_slice(b"\":");
}

fn string(to: &mut Vec<u8>, name: &str, text: &str) {
    key(to, name);
    to.push(b'"');
    escaped(to, text);
    to.push(b'"');
}

fn value(to: &mut Vec<u8>, name: &str, value: impl Display) {
    key(to, name);
    let _ = write!(to, "{value}");
}

/// As JSON wants it between quotes (RFC 8259, section 7).
fn escaped(to: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|&b| b < b' ' || b == b'"' || b == b'\\')
    {
        to.extend_from_slice(&rest[..at]);
        let _ = match rest[at] {
            byte @ (b'"' | b'\\') => to.write_all(&[b'\\', byte]),
            byte => write!(to, "\\u{byte:04x}"),
        };
        rest = &rest[at + 1..];
    }
    to.extend_from_slice(rest);
}

/// A path among words: what could end a word or a line is shown in hexadecimal.
fn bare(to: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        if byte > b' ' && byte != 0x7f {
            to.push(byte);
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

fn milliseconds(to: &mut Vec<u8>, record: &Record) {
    let micros = record.duration().as_micros();
    let _ = write!(to, "{}.{:03}", micros / 1000, micros % 1000);
}

fn hex(to: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        to.push(DIGITS[usize::from(byte >> 4)]);
        to.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn time(to: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let millis = since.subsec_millis();
    let _ = write!(
        to,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    );
}

/// Year, month and day of a day since 1970. Years are counted from March, so that the
/// leap day is the last of its year; a cycle of the calendar is 400 years.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468; // since 1 March of the year 0
    let (cycle, of_cycle) = (day / 146_097, day % 146_097);
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // March is 0
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{bare, escaped, hex, time};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7);
            assert_eq!(written(|to| time(to, at)), wanted);
        }
    }

    #[test]
    fn what_json_cannot_hold_is_escaped() {
        let escape = |text: &str| written(|to| escaped(to, text));
        assert_eq!(escape("/plain"), "/plain");
        assert_eq!(escape("/a\"b\\c\u{1}é"), "/a\\\"b\\\\c\\u0001é");
    }

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(written(|to| bare(to, "/a b\nc")), "/a%20b%0Ac");
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(written(|to| hex(to, &[0, 0x9f, 0xf0])), "009ff0");
    }
}
