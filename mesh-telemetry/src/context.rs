//! Trace contexts on the wire. W3C trace context: `traceparent` and `tracestate`, written by hand
//! because a sidecar does it twice per request (the official propagator takes five
//! times as long and leaves an empty `tracestate` behind).
//!
//! Malformed input is dropped, and a new trace begun, as the specification says;
//! `tracestate` and flags that nobody here knows are passed on.

pub(crate) mod b3;
mod baggage;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
pub use opentelemetry::trace::{SpanId, TraceId};

pub use baggage::{BAGGAGE, trim_baggage};

/// Header with trace, span and flags.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Header with the state of tracing vendors.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// Bit of the flags that says "recorded".
const SAMPLED: u8 = 1;
/// Most members of `tracestate`, by the specification.
const MAX_MEMBERS: usize = 32;
/// Longest key, and longest value, of a member.
const MAX_MEMBER: usize = 256;

/// What a request's headers say about the trace it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that sent the request.
    pub span_id: SpanId,
    /// That span is recorded.
    pub sampled: bool,
    /// Flags beside `sampled`, passed on as they came.
    pub other_flags: u8,
    /// `tracestate`, passed on as it came.
    pub tracestate: Option<HeaderValue>,
}

/// What came with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The trace and the span that sent it; none: a new trace begins.
    pub(crate) context: Option<TraceContext>,
    /// Whether the caller's side records it; none: nobody has decided yet.
    pub(crate) sampled: Option<bool>,
}

impl From<TraceContext> for Parent {
    fn from(context: TraceContext) -> Self {
        Self {
            sampled: Some(context.sampled),
            context: Some(context),
        }
    }
}

impl TraceContext {
    /// Reads `traceparent` and `tracestate`; none when absent or malformed. A
    /// malformed `tracestate` is dropped alone.
    #[must_use]
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (first, second) = (all.next()?, all.next());
        if second.is_some() {
            return None; // two parents: neither can be trusted
        }
        let mut context = Self::parse(first.as_bytes())?;
        context.tracestate = tracestate(headers);
        Some(context)
    }

    /// Reads the value of a `traceparent`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let version = hex::<1>(&head[..2])?[0];
        let longer = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-', // later versions may add fields
        };
        let dashes = [2, 35, 52].iter().all(|&at| head[at] == b'-');
        if !longer || !dashes {
            return None;
        }
        let trace_id = TraceId::from_bytes(hex(&head[3..35])?);
        let span_id = SpanId::from_bytes(hex(&head[36..52])?);
        let flags = hex::<1>(&head[53..])?[0];
        let valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
        valid.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & SAMPLED != 0,
            other_flags: flags & !SAMPLED,
            tracestate: None,
        })
    }

    /// Writes `traceparent` and `tracestate`; a `tracestate` of before is removed.
    pub fn inject(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent());
        match &self.tracestate {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
    }

    /// The value of `traceparent`.
    ///
    /// # Panics
    ///
    /// Never: hexadecimal digits and dashes are a header value.
    #[must_use]
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id.to_bytes(), &mut text[3..35]);
        write_hex(&self.span_id.to_bytes(), &mut text[36..52]);
        let flags = self.other_flags | u8::from(self.sampled);
        write_hex(&[flags], &mut text[53..]);
        HeaderValue::from_bytes(&text).expect("hex and dashes are a header value")
    }

    /// The same for the SDK, as a remote parent.
    pub(crate) fn to_remote(&self) -> SpanContext {
        let flags = TraceFlags::new(self.other_flags | u8::from(self.sampled));
        let state = self
            .tracestate
            .as_ref()
            .and_then(|state| state.to_str().ok());
        let state: TraceState = state
            .and_then(|state| state.parse().ok())
            .unwrap_or_default();
        SpanContext::new(self.trace_id, self.span_id, flags, true, state)
    }

    /// `tracestate` as the SDK would send it on; none where there is nothing to send.
    pub(crate) fn state_header(&self) -> Option<String> {
        self.tracestate.as_ref()?; // most have none, and need no parsing
        Some(self.to_remote().trace_state().header())
    }

    /// The same from the SDK; none for a context without a span.
    pub(crate) fn from_sdk(span: &SpanContext) -> Option<Self> {
        let flags = span.trace_flags().to_u8();
        let state = Some(span.trace_state().header()).filter(|state| !state.is_empty());
        span.is_valid().then(|| Self {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            sampled: flags & SAMPLED != 0,
            other_flags: flags & !SAMPLED,
            tracestate: state.and_then(|state| HeaderValue::try_from(state).ok()),
        })
    }
}

/// `tracestate` of possibly several headers; none when absent, empty or malformed.
fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let several = values.next().is_some();
    if !members(headers).all(is_member) {
        return None;
    }
    match members(headers).count() {
        0 => None,
        1..=MAX_MEMBERS if !several => Some(first.clone()),
        _ => {
            let kept: Vec<_> = members(headers).take(MAX_MEMBERS).collect();
            HeaderValue::from_bytes(&kept.join(&b',')).ok()
        }
    }
}

/// Members of all `tracestate` headers, without the space around them.
fn members(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(TRACESTATE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// `key=value` in the specification's characters.
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else {
        return false;
    };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let start = key.first().is_some_and(|&byte| is_key_start(byte));
    let rest = key
        .iter()
        .all(|&byte| is_key_start(byte) || b"_-*/@".contains(&byte));
    let value_fits = value.len() <= MAX_MEMBER
        && value
            .iter()
            .all(|&byte| matches!(byte, b' '..=b'~') && byte != b'=');
    start && rest && key.len() <= MAX_MEMBER && value_fits
}

const fn is_key_start(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Lower-case hexadecimal digits only, as the specification demands.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests;
