//! Members of the `baggage` header (W3C Baggage), read where a rule asks for them.
//!
//! What is malformed is passed over, member by member; nothing here is an error.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::{names::is_token, paths::decode_once, routing::field::Field};

/// The header.
pub(crate) const BAGGAGE: HeaderName = mesh_telemetry::context::BAGGAGE;

/// What the mesh's own members begin with.
pub(crate) const OWN: &str = "mesh.";

/// Ids of the rules that the request arms, `:` between them.
pub(crate) const CHAOS: &str = "mesh.chaos";

/// Trace id whose fate the request meets.
pub(crate) const FATE: &str = "mesh.fate";

/// Members of all headers, in their order, without their properties.
pub(crate) fn members(headers: &HeaderMap) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let values = headers.get_all(BAGGAGE).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(member)
}

/// Whether a condition for a member holds: as for headers, one of several is enough.
pub(crate) fn holds(field: &Field<Box<str>>, headers: &HeaderMap) -> bool {
    let mut values = members(headers).filter(|(key, _)| **key == *field.name);
    values.any(|(_, value)| field.wanted.accepts(value.as_bytes())) != field.invert
}

fn member(text: &[u8]) -> Option<(&str, Cow<'_, str>)> {
    let text = std::str::from_utf8(text).ok()?;
    let pair = text.split_once(';').map_or(text, |(pair, _)| pair);
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    (is_key(key) && is_value(value)).then(|| (key, decoded(value)))
}

/// Whether a text can be the key of a member: a token.
pub(crate) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

/// `baggage-octet`s: what is left of ASCII without white space, quotes and `\`.
fn is_value(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    text.bytes().all(fine)
}

/// Copied only where there are escapes.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('%') {
        Cow::Owned(decode_once(text))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{BAGGAGE, holds, members};
    use crate::routing::field::Field;

    fn headers<'a>(values: impl IntoIterator<Item = &'a str>) -> HeaderMap {
        values
            .into_iter()
            .map(|value| (BAGGAGE, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn read(values: &[&str]) -> Vec<String> {
        members(&headers(values.iter().copied()))
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    #[test]
    fn members_of_several_headers_are_one_list() {
        assert_eq!(
            read(&["a=1, b = 2;p=x;q , c=", "d=x=y"]),
            ["a=1", "b=2", "c=", "d=x=y"]
        );
    }

    #[test]
    fn values_are_decoded_and_keys_are_not() {
        assert_eq!(
            read(&["a=Am%C3%A9lie%20B,b=100%,c=a+b"]),
            ["a=Amélie B", "b=100%", "c=a+b"]
        );
        assert_eq!(read(&["a%20b=1"]), ["a%20b=1"], "`%` is a letter of keys");
    }

    #[test]
    fn malformed_members_are_passed_over_alone() {
        assert_eq!(
            read(&[",,a=1,no-equals,=2,b c=3,d=\"x\",e=a b,f=\\,;g=1,h=8"]),
            ["a=1", "h=8"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_member_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(BAGGAGE, HeaderValue::from_bytes(b"a=\xff,b=2").unwrap());
        assert_eq!(members(&headers).count(), 1);
    }

    #[test]
    fn a_condition_holds_by_one_of_several_values_and_inverted_by_none() {
        let headers = headers(["user=ann, user=bob"]);
        for (yaml, wanted) in [
            ("{ name: user }", true),
            ("{ name: user, exact: bob }", true),
            ("{ name: user, exact: eve }", false),
            ("{ name: user, exact: bob, invert: true }", false),
            ("{ name: User }", false),
            ("{ name: other, invert: true }", true),
        ] {
            let field = Field::member(&serde_saphyr::from_str(yaml).unwrap()).unwrap();
            assert_eq!(holds(&field, &headers), wanted, "{yaml}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_it(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(BAGGAGE, value);
            }
            for (key, value) in members(&headers) {
                prop_assert!(!key.is_empty() && !key.contains([',', ';', '=', ' ']), "{value}");
            }
        }

        #[test]
        fn what_is_written_by_the_book_is_read(
            pairs in prop::collection::vec(("[a-z!#$%&'*+.^_`|~0-9-]{1,8}", "[!#-+--:<-\\[\\]-~&&[^%]]{0,8}"), 0..6),
        ) {
            let text: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let headers = headers([text.join(" , ").as_str()]);
            let read: Vec<_> = members(&headers)
                .map(|(key, value)| (key.to_owned(), value.into_owned()))
                .collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
