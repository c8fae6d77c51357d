//! Which headers carry contexts, as `OTEL_PROPAGATORS` says.

use std::sync::OnceLock;

use http::HeaderMap;
use opentelemetry::trace::TraceId;

use crate::{
    context::{Parent, TraceContext, b3},
    sampling::Sampling,
};

/// A way to write a trace's context into headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `traceparent` and `tracestate`, of the W3C.
    TraceContext,
    /// Zipkin's, in one header.
    B3,
    /// Zipkin's, in several.
    B3Multi,
}

/// What is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Propagators {
    /// All are written; of those that came the last one counts.
    pub(crate) formats: Vec<Format>,
    /// Whether a service passes `baggage` on.
    pub(crate) baggage: bool,
}

impl Default for Propagators {
    fn default() -> Self {
        Self {
            formats: vec![Format::TraceContext],
            baggage: true,
        }
    }
}

impl Propagators {
    fn incoming(&self, headers: &HeaderMap) -> Parent {
        let read = |format: &Format| match format {
            Format::TraceContext => TraceContext::extract(headers).map(Parent::from),
            Format::B3 => b3::single(headers),
            Format::B3Multi => b3::several(headers),
        };
        let found = self.formats.iter().rev().find_map(read);
        found.unwrap_or_default()
    }

    fn outgoing(&self, context: &TraceContext, headers: &mut HeaderMap) {
        for format in &self.formats {
            match format {
                Format::TraceContext => context.inject(headers),
                Format::B3 => b3::write_single(context, headers),
                Format::B3Multi => b3::write_several(context, headers),
            }
        }
    }
}

static CHOSEN: OnceLock<Propagators> = OnceLock::new();
/// What decides in a service when the caller left it to the called.
static DEFERRED: OnceLock<Sampling> = OnceLock::new();

/// The first choice in a process stands.
pub(crate) fn choose(propagators: Propagators) {
    CHOSEN.get_or_init(|| propagators);
}

/// What a service decides by itself; the first choice in a process stands.
pub(crate) fn decide_by(sampling: Sampling) {
    DEFERRED.get_or_init(|| sampling);
}

/// Whether a service keeps a trace whose caller left that to it.
pub(crate) fn keeps(trace_id: TraceId) -> bool {
    DEFERRED
        .get()
        .is_some_and(|sampling| sampling.decide(None, trace_id))
}

fn chosen() -> &'static Propagators {
    CHOSEN.get_or_init(Propagators::default)
}

/// The caller's context, when it sent one that is well-formed.
pub(crate) fn incoming(headers: &HeaderMap) -> Parent {
    chosen().incoming(headers)
}

/// The callee's context.
pub(crate) fn outgoing(context: &TraceContext, headers: &mut HeaderMap) {
    chosen().outgoing(context, headers);
}

/// Whether a service passes baggage on.
pub(crate) fn baggage() -> bool {
    chosen().baggage
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Format, Propagators};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const B3: &str = "a3ce929d0e0e4736-00f067aa0ba902b7-0";

    fn came() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().unwrap());
        headers.insert("b3", B3.parse().unwrap());
        headers
    }

    fn trace_of(formats: Vec<Format>, headers: &HeaderMap) -> Option<String> {
        let propagators = Propagators {
            formats,
            baggage: false,
        };
        let context = propagators.incoming(headers).context?;
        Some(context.trace_id.to_string())
    }

    #[test]
    fn of_what_came_the_last_of_the_list_counts() {
        use Format::{B3 as Single, B3Multi, TraceContext};
        let (w3c, b3) = (&PARENT[3..35], "0000000000000000a3ce929d0e0e4736");
        let of = |formats| trace_of(formats, &came());
        assert_eq!(of(vec![TraceContext, Single]).as_deref(), Some(b3));
        assert_eq!(of(vec![Single, TraceContext]).as_deref(), Some(w3c));
        assert_eq!(of(vec![TraceContext, B3Multi]).as_deref(), Some(w3c));
        assert_eq!(of(vec![B3Multi]), None);
        assert_eq!(of(Vec::new()), None);
        let mut broken = came();
        broken.insert("b3", "nonsense".parse().unwrap());
        let found = trace_of(vec![TraceContext, Single], &broken);
        assert_eq!(
            found.as_deref(),
            Some(w3c),
            "what is malformed did not come"
        );
    }

    #[test]
    fn every_format_of_the_list_is_written() {
        let propagators = Propagators {
            formats: vec![Format::TraceContext, Format::B3, Format::B3Multi],
            baggage: true,
        };
        let context = crate::context::TraceContext::parse(PARENT.as_bytes()).unwrap();
        let mut sent = HeaderMap::new();
        propagators.outgoing(&context, &mut sent);
        let (trace, span) = (&PARENT[3..35], &PARENT[36..52]);
        assert_eq!(sent["traceparent"], PARENT);
        assert_eq!(sent["b3"], format!("{trace}-{span}-1"));
        assert_eq!(sent["x-b3-traceid"], trace);
        assert_eq!(sent["x-b3-spanid"], span);
        assert_eq!(sent["x-b3-sampled"], "1");
    }
}
