//! Durations that lead to the spans they were measured in.

use std::{sync::Arc, time::SystemTime};

use metrics::Histogram;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::processor;
use crate::{
    catalog::Metric,
    exemplar::{self, Exemplar, Exemplars, Pending},
    register::{counter, histogram},
};

/// One series of a histogram, with its exemplars.
#[derive(Clone)]
pub(super) struct Timed {
    histogram: Histogram,
    exemplars: Arc<Exemplars>,
}

impl Timed {
    pub(super) fn new(metric: &'static Metric, values: &[&str]) -> Self {
        Self {
            histogram: histogram(metric, values),
            exemplars: exemplar::series(metric, values),
        }
    }

    /// Records the time since then. Call it before the span ends: what leads to a span
    /// is sent ahead of it.
    pub(super) fn record(&self, since: Instant, span: Option<&SpanContext>) {
        let seconds = since.elapsed().as_secs_f64();
        self.histogram.record(seconds);
        if let Some(span) = span {
            lead(&self.exemplars, seconds, span);
        }
    }
}

/// Counts something that happened in the span that runs now.
pub(super) fn count(metric: &'static Metric, values: &[&str]) {
    counter(metric, values).increment(1);
    let span = Span::current();
    if let Some(context) = sampled(&span) {
        lead(&exemplar::series(metric, values), 1.0, &context);
    }
}

/// Context of a span that is recorded.
pub(super) fn sampled(span: &Span) -> Option<SpanContext> {
    if !processor::exports() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_sampled().then_some(context)
}

fn lead(series: &Arc<Exemplars>, value: f64, span: &SpanContext) {
    processor::offer(Pending {
        series: Arc::clone(series),
        exemplar: Exemplar {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            value,
            at: SystemTime::now(),
        },
    });
}
