//! B3, the headers of Zipkin: one (`b3`) or several (`x-b3-…`).
//!
//! Malformed input is dropped as a whole, and a new trace begun. Ids of traces with
//! 64 bits are read, and sent on with 128. A caller may leave the decision on sampling
//! to whoever it calls, or send nothing but a decision.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Parent, SpanId, TraceContext, TraceId, hex, write_hex};

const SINGLE: HeaderName = HeaderName::from_static("b3");
const TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// What the caller decided; `debug` is a decision for it that everybody must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Deferred,
    No,
    Yes,
    Debug,
}

impl Decision {
    fn sampled(self) -> Option<bool> {
        match self {
            Self::Deferred => None,
            Self::No => Some(false),
            Self::Yes | Self::Debug => Some(true),
        }
    }
}

/// Reads `b3`; none when absent or malformed.
pub(crate) fn single(headers: &HeaderMap) -> Option<Parent> {
    let value = only(headers, &SINGLE)??;
    let mut parts = value.split(|&byte| byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else {
        return Some(Parent {
            context: None,
            sampled: decision(first)?.sampled(),
        });
    };
    let decision = parts.next().map_or(Some(Decision::Deferred), decision)?;
    let of_parent = parts.next().is_none_or(|id| hex::<8>(id).is_some());
    let whole = of_parent && parts.next().is_none();
    whole.then(|| parent(first, span, decision)).flatten()
}

/// Reads the headers that begin with `x-b3-`; none when absent or malformed.
pub(crate) fn several(headers: &HeaderMap) -> Option<Parent> {
    let [trace, span, of_parent, sampled, flags] =
        [&TRACE_ID, &SPAN_ID, &PARENT_SPAN_ID, &SAMPLED, &FLAGS].map(|name| only(headers, name));
    let (trace, span, sampled) = (trace?, span?, sampled?);
    let decision = match (flags?, sampled) {
        (Some(b"1"), _) => Decision::Debug,
        (_, None) => Decision::Deferred,
        (_, Some(b"true")) => Decision::Yes, // as its first tracers wrote it
        (_, Some(b"false")) => Decision::No,
        (_, Some(value)) => decision(value).filter(|decision| *decision != Decision::Debug)?,
    };
    if of_parent?.is_some_and(|id| hex::<8>(id).is_none()) {
        return None;
    }
    match (trace, span) {
        (Some(trace), Some(span)) => parent(trace, span, decision),
        (None, None) => decision.sampled().map(|sampled| Parent {
            context: None,
            sampled: Some(sampled),
        }),
        _ => None,
    }
}

/// Writes `b3`. Where the caller's is still there and asks for debugging, this does.
pub(crate) fn write_single(context: &TraceContext, headers: &mut HeaderMap) {
    let asked = headers.get(SINGLE).map(HeaderValue::as_bytes);
    let debugged = asked.is_some_and(|value| value == b"d" || third(value) == Some(b"d"));
    let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
    write_ids(context, |trace, span| {
        text[..32].copy_from_slice(trace);
        text[33..49].copy_from_slice(span);
    });
    text[50] = match (context.sampled, debugged) {
        (true, true) => b'd',
        (true, false) => b'1',
        (false, _) => b'0',
    };
    insert(headers, SINGLE, &text);
}

/// Writes the headers that begin with `x-b3-`; whose span it was is not said.
pub(crate) fn write_several(context: &TraceContext, headers: &mut HeaderMap) {
    let debugged = headers.get(FLAGS).is_some_and(|value| value == "1");
    headers.remove(PARENT_SPAN_ID);
    write_ids(context, |trace, span| {
        insert(headers, TRACE_ID, trace);
        insert(headers, SPAN_ID, span);
    });
    if context.sampled && debugged {
        headers.remove(SAMPLED); // debugging says it
        return;
    }
    headers.remove(FLAGS);
    insert(headers, SAMPLED, if context.sampled { b"1" } else { b"0" });
}

fn parent(trace: &[u8], span: &[u8], decision: Decision) -> Option<Parent> {
    let trace_id = match trace.len() {
        16 => u128::from(u64::from_be_bytes(hex(trace)?)).into(),
        _ => TraceId::from_bytes(hex(trace)?),
    };
    let span_id = SpanId::from_bytes(hex(span)?);
    let valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    let sampled = decision.sampled();
    valid.then(|| Parent {
        context: Some(TraceContext {
            trace_id,
            span_id,
            sampled: sampled.unwrap_or(false),
            other_flags: 0,
            tracestate: None,
        }),
        sampled,
    })
}

fn decision(value: &[u8]) -> Option<Decision> {
    match value {
        b"0" => Some(Decision::No),
        b"1" => Some(Decision::Yes),
        b"d" => Some(Decision::Debug),
        _ => None,
    }
}

fn third(value: &[u8]) -> Option<&[u8]> {
    value.split(|&byte| byte == b'-').nth(2)
}

/// The value of a header; none when it comes twice: no one of them can be trusted.
#[expect(
    clippy::option_option,
    reason = "a header that is absent is another thing than one that is wrong"
)]
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a [u8]>> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(|value| value.as_bytes().trim_ascii());
    all.next().is_none().then_some(first)
}

fn write_ids(context: &TraceContext, to: impl FnOnce(&[u8; 32], &[u8; 16])) {
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    write_hex(&context.trace_id.to_bytes(), &mut trace);
    write_hex(&context.span_id.to_bytes(), &mut span);
    to(&trace, &span);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    let value = HeaderValue::from_bytes(value).expect("hex and dashes are a header value");
    headers.insert(name, value);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};
    use proptest::prelude::*;

    use super::{super::Parent, several, single, write_several, write_single};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    fn of_single(value: &str) -> Option<Parent> {
        single(&headers(&[("b3", value)]))
    }

    fn ids(parent: &Parent) -> Option<(String, String)> {
        let context = parent.context.as_ref()?;
        Some((context.trace_id.to_string(), context.span_id.to_string()))
    }

    #[test]
    fn one_header_says_it_all() {
        let start = format!("{TRACE}-{SPAN}");
        for (rest, sampled) in [
            ("", None),
            ("-0", Some(false)),
            ("-1", Some(true)),
            ("-d", Some(true)),
            ("-1-05e3ac9a4f6e3b90", Some(true)),
        ] {
            let parent = of_single(&format!("{start}{rest}")).unwrap();
            assert_eq!(parent.sampled, sampled, "{rest}");
            assert_eq!(ids(&parent), Some((TRACE.to_owned(), SPAN.to_owned())));
        }
        let short = of_single(&format!("a3ce929d0e0e4736-{SPAN}-1")).unwrap();
        assert_eq!(ids(&short).unwrap().0, "0000000000000000a3ce929d0e0e4736");
        let alone = of_single("0").unwrap();
        assert_eq!((alone.context, alone.sampled), (None, Some(false)));
    }

    #[test]
    fn what_is_malformed_is_dropped() {
        for value in [
            "",
            "2",
            "true",
            TRACE,
            &format!("{TRACE}-"),
            &format!("{TRACE}-{SPAN}-2"),
            &format!("{TRACE}-{SPAN}-"),
            &format!("{TRACE}-{SPAN}-1-"),
            &format!("{TRACE}-{SPAN}-1-{SPAN}-1"),
            &format!("{}-{SPAN}-1", TRACE.to_uppercase()),
            &format!("{TRACE}0-{SPAN}-1"),
            &format!("{TRACE}-{SPAN}0-1"),
            &format!("{}-{SPAN}-1", "0".repeat(32)),
            &format!("{TRACE}-{}-1", "0".repeat(16)),
        ] {
            assert_eq!(of_single(value), None, "{value}");
        }
        let (one, other) = (format!("{TRACE}-{SPAN}-1"), format!("{TRACE}-{SPAN}-0"));
        assert_eq!(single(&headers(&[("b3", &one), ("b3", &other)])), None);
        for pairs in [
            &[("x-b3-traceid", TRACE)][..],
            &[("x-b3-spanid", SPAN), ("x-b3-sampled", "1")],
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", "7")],
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-spanid", SPAN),
            ],
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-sampled", "d"),
            ],
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-parentspanid", "x"),
            ],
            &[],
        ] {
            assert_eq!(several(&headers(pairs)), None, "{pairs:?}");
        }
    }

    #[test]
    fn several_headers_say_the_same() {
        for (more, sampled) in [
            (&[][..], None),
            (&[("x-b3-sampled", "1")], Some(true)),
            (&[("x-b3-sampled", "0")], Some(false)),
            (&[("x-b3-sampled", "false")], Some(false)),
            (&[("x-b3-flags", "1")], Some(true)),
            (&[("x-b3-flags", "0"), ("x-b3-sampled", "true")], Some(true)),
            (&[("x-b3-parentspanid", "05e3ac9a4f6e3b90")], None),
        ] {
            let start = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
            let parent = several(&headers(&[&start[..], more].concat())).unwrap();
            assert_eq!(parent.sampled, sampled, "{more:?}");
            assert_eq!(ids(&parent), Some((TRACE.to_owned(), SPAN.to_owned())));
        }
        let alone = several(&headers(&[("x-b3-sampled", "0")])).unwrap();
        assert_eq!((alone.context, alone.sampled), (None, Some(false)));
    }

    #[test]
    fn debugging_goes_on_and_the_callers_parent_does_not() {
        let came = format!("{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90");
        let mut sent = headers(&[
            ("b3", &came),
            ("x-b3-flags", "1"),
            ("x-b3-parentspanid", "05e3ac9a4f6e3b90"),
        ]);
        let mut context = of_single(&came).unwrap().context.unwrap();
        context.span_id = 7_u64.into();
        write_single(&context, &mut sent);
        write_several(&context, &mut sent);
        assert_eq!(sent["b3"], format!("{TRACE}-0000000000000007-d"));
        assert_eq!(sent["x-b3-flags"], "1");
        assert!(!sent.contains_key("x-b3-sampled") && !sent.contains_key("x-b3-parentspanid"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let context = super::TraceContext {
                trace_id: trace.into(),
                span_id: span.into(),
                sampled,
                other_flags: 0,
                tracestate: None,
            };
            let expected = Parent { context: Some(context.clone()), sampled: Some(sampled) };
            let mut headers = HeaderMap::new();
            write_single(&context, &mut headers);
            write_several(&context, &mut headers);
            prop_assert_eq!(single(&headers), Some(expected.clone()));
            prop_assert_eq!(several(&headers), Some(expected));
        }

        #[test]
        fn nothing_that_comes_makes_it_fail(value in "[ -~]{0,80}", other in "[0-9a-f-]{0,80}") {
            let _ = of_single(&value);
            let _ = of_single(&other);
            let _ = several(&headers(&[("x-b3-traceid", &other), ("x-b3-spanid", &value)]));
        }
    }
}
