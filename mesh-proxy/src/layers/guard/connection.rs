//! `Connection` names headers that end at this hop. A caller may name his own; it
//! must not name those that the mesh or the message itself depend on, or he could
//! have them removed behind our back.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE,
        FORWARDED, HOST, VIA,
    },
};

use crate::names;

/// Options that speak about the connection itself.
const OPTIONS: [&str; 4] = ["close", "keep-alive", "upgrade", "te"];

/// Headers that a request means as a whole.
const END_TO_END: [HeaderName; 12] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    FORWARDED,
    HOST,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Headers of traces, which a sidecar writes anew.
const TRACE: [&str; 9] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-parentspanid",
    "x-b3-flags",
];

/// Removes what `Connection` names, as far as it may, and leaves it the options alone.
pub(in crate::layers) fn disarm(headers: &mut HeaderMap) {
    if headers.get_all(CONNECTION).iter().all(is_plain) {
        return;
    }
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers.remove(CONNECTION);
    for name in named {
        if let Some(option) = OPTIONS.iter().find(|option| **option == name) {
            headers.append(CONNECTION, HeaderValue::from_static(option));
        } else if !is_protected(&name) {
            headers.remove(name);
        }
    }
}

/// One option and nothing else, as nearly always.
fn is_plain(value: &HeaderValue) -> bool {
    OPTIONS
        .iter()
        .any(|option| value.as_bytes().eq_ignore_ascii_case(option.as_bytes()))
}

fn is_protected(name: &str) -> bool {
    name.starts_with(names::PREFIX)
        || TRACE.contains(&name)
        || END_TO_END.iter().any(|header| header.as_str() == name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::disarm;

    #[test]
    fn callers_can_have_their_own_headers_removed_and_not_ours() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private, x-mesh-deadline-ms"),
            ("connection", "traceparent, authorization,,x-two"),
            ("connection", "X-Forwarded-Proto"),
            ("x-forwarded-proto", "https"),
            ("x-private", "1"),
            ("x-two", "2"),
            ("x-mesh-deadline-ms", "100"),
            ("traceparent", "00-1"),
            ("authorization", "Basic x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        disarm(&mut headers);
        assert_eq!(headers["connection"], "close");
        for (name, left) in [
            ("x-private", false),
            ("x-two", false),
            ("x-mesh-deadline-ms", true),
            ("traceparent", true),
            ("authorization", true),
            ("x-forwarded-proto", true),
        ] {
            assert_eq!(headers.contains_key(name), left, "{name}");
        }
    }
}
