//! The two messages of `grpc.health.v1.Health/Check`, by hand: a string and a number
//! need no generated code.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;

/// Path of the call.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Key of field 1 as bytes (`HealthCheckRequest.service`).
const SERVICE: u8 = 1 << 3 | 2;

/// Key of field 1 as a number (`HealthCheckResponse.status`).
const STATUS: u8 = 1 << 3;

/// Length of the prefix of a message: a flag and four bytes of length.
const PREFIX: usize = 5;

/// The question, with the prefix of a message that is not compressed.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(SERVICE);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.unsplit(message);
    framed.freeze()
}

fn put_varint(to: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        to.put_u8(0x80 | value.to_le_bytes()[0]);
        value >>= 7;
    }
    to.put_u8(value.to_le_bytes()[0]);
}

/// The status in the answer, as the protocol names it.
pub(super) fn status(framed: &[u8]) -> &'static str {
    let Some((prefix, message)) = framed.split_at_checked(PREFIX) else {
        return "nothing";
    };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 || length as usize != message.len() {
        return "something unreadable";
    }
    match *message {
        [] | [STATUS, 0] => "UNKNOWN",
        [STATUS, 1] => "SERVING",
        [STATUS, 2] => "NOT_SERVING",
        [STATUS, 3] => "SERVICE_UNKNOWN",
        _ => "something unreadable",
    }
}

/// What `grpc-status` says, unless it is absent or says that all is well.
pub(super) fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let status = headers.get("grpc-status")?;
    match status.as_bytes() {
        b"0" => None,
        b"5" => Some("NOT_FOUND: the server does not know the service"),
        b"12" => Some("UNIMPLEMENTED: the server has no health service"),
        b"14" => Some("UNAVAILABLE"),
        _ => Some("a gRPC error"),
    }
}

#[cfg(test)]
mod tests {
    use super::{request, status};

    #[test]
    fn the_question_is_as_protobuf_writes_it() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("shop")[..], *b"\0\0\0\0\x06\x0a\x04shop");
        let long = "x".repeat(200);
        assert_eq!(&request(&long)[..8], *b"\0\0\0\0\xcb\x0a\xc8\x01");
    }

    #[test]
    fn the_answer_is_read_and_rubbish_is_not_healthy() {
        assert_eq!(status(b"\0\0\0\0\x02\x08\x01"), "SERVING");
        assert_eq!(status(b"\0\0\0\0\x02\x08\x02"), "NOT_SERVING");
        assert_eq!(status(b"\0\0\0\0\0"), "UNKNOWN");
        for rubbish in [
            &b""[..],
            b"\0\0",
            b"\0\0\0\0\x09\x08\x01",
            b"\x01\0\0\0\x02\x08\x01",
        ] {
            assert!(
                !matches!(status(rubbish), "SERVING" | "UNKNOWN"),
                "{rubbish:?}"
            );
        }
    }
}
