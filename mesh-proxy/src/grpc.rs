//! What gRPC writes into HTTP: its status, and its deadline.
//!
//! gRPC answers 200 and says how it went in `grpc-status`: among the trailers, or, when
//! there is no message, in the head of the answer ("trailers-only").

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};

/// Time that the caller gives the call.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Status of the call, a number.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What the status means, for people.
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Cancelled by the caller.
pub(crate) const CANCELLED: u16 = 1;
/// What there is no better code for.
pub(crate) const UNKNOWN: u16 = 2;
/// Too late.
pub(crate) const DEADLINE_EXCEEDED: u16 = 4;
/// Not allowed.
pub(crate) const PERMISSION_DENIED: u16 = 7;
/// A limit is reached.
pub(crate) const RESOURCE_EXHAUSTED: u16 = 8;
/// Nobody knows this call.
pub(crate) const UNIMPLEMENTED: u16 = 12;
/// A broken rule.
pub(crate) const INTERNAL: u16 = 13;
/// Not now; a later call may succeed.
pub(crate) const UNAVAILABLE: u16 = 14;
/// What was stored cannot be read.
pub(crate) const DATA_LOSS: u16 = 15;
/// No proof of identity.
const UNAUTHENTICATED: u16 = 16;

/// Whether a request or an answer is one of gRPC.
#[must_use]
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .strip_prefix(PREFIX)
            // `application/grpc-web` is another protocol, with its trailers in the body.
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// `grpc-status` of a header or trailer block. It becomes a label: a code that gRPC
/// does not know is `UNKNOWN`, as gRPC itself has it.
#[must_use]
pub(crate) fn status(headers: &HeaderMap) -> Option<u16> {
    let code = headers.get(STATUS)?.to_str().ok()?.parse().ok()?;
    Some(if code <= UNAUTHENTICATED {
        code
    } else {
        UNKNOWN
    })
}

/// What an answer of HTTP alone means to a caller of gRPC: the mapping that gRPC's
/// documentation gives to clients ("HTTP to gRPC status code mapping").
#[must_use]
pub(crate) fn of_http(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Status of a call that failed here with this status of HTTP. More is known than of
/// an answer that came from somewhere: a time that ran out was the call's.
#[must_use]
pub(crate) fn of_failure(status: StatusCode) -> u16 {
    match status {
        StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::PAYLOAD_TOO_LARGE => RESOURCE_EXHAUSTED,
        other => of_http(other),
    }
}

/// `grpc-message`: what is not printable ASCII, and the percent sign, in percent encoding.
#[must_use]
pub(crate) fn message(text: &str) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS[usize::from(nibble)];
            encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

/// Time that a `grpc-timeout` gives; none when absent or malformed. At most eight
/// digits and a unit, as the protocol has it.
#[must_use]
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The same to be written: in milliseconds, or in seconds when eight digits are too few.
#[must_use]
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    const LARGEST: u128 = 99_999_999;
    let milliseconds = left.as_millis();
    let text = if milliseconds <= LARGEST {
        format!("{milliseconds}m")
    } else {
        format!("{}S", u128::from(left.as_secs()).min(LARGEST))
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("99999999S"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};

    use super::{
        STATUS, TIMEOUT, is_grpc, message, of_failure, of_http, status, timeout, timeout_value,
    };

    fn one(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, wanted) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=1", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&one(CONTENT_TYPE, value)), wanted, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_status_has_no_more_values_than_grpc_has_codes() {
        for (text, code) in [
            ("0", Some(0)),
            ("16", Some(16)),
            ("4711", Some(2)),
            ("x", None),
        ] {
            assert_eq!(status(&one(STATUS, text)), code, "{text}");
        }
    }

    #[test]
    fn timeouts_are_read_with_their_unit_and_written_in_milliseconds() {
        for (text, wanted) in [
            ("2H", Some(Duration::from_hours(2))),
            ("3M", Some(Duration::from_mins(3))),
            ("4S", Some(Duration::from_secs(4))),
            ("150m", Some(Duration::from_millis(150))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000m", None),
            ("m", None),
            ("-1m", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(timeout(&one(TIMEOUT, text)), wanted, "{text}");
        }
        assert_eq!(timeout_value(Duration::from_micros(1_500_900)), "1500m");
        assert_eq!(timeout_value(Duration::from_hours(100)), "360000S");
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(
            message("no route\n: 100 %, \u{e4}"),
            "no route%0A: 100 %25, %C3%A4"
        );
    }

    #[test]
    fn what_failed_here_has_the_status_that_fits() {
        for (status, code) in [
            (504, 4),
            (503, 14),
            (429, 14),
            (403, 7),
            (404, 12),
            (413, 8),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_failure(status), code, "{status}");
        }
    }

    #[test]
    fn answers_of_http_alone_mean_what_grpc_says() {
        assert_eq!(of_http(StatusCode::SERVICE_UNAVAILABLE), 14);
        assert_eq!(of_http(StatusCode::NOT_FOUND), 12);
        assert_eq!(of_http(StatusCode::INTERNAL_SERVER_ERROR), 2);
    }
}
