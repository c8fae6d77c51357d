//! CLIENT spans and durations of database operations.

use std::sync::LazyLock;

use opentelemetry::{
    KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::Span as SdkSpan;
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{error_type, processor, timed::Timed};
use crate::{catalog, register::Kept};

/// The only database the shop uses.
const SYSTEM: &str = "sqlite";

/// Runs a query under a CLIENT span, as `INSERT payments`. `query` is the
/// parameterised text. Outside a trace only the duration is counted: polling an
/// empty outbox is no trace of its own.
pub async fn db<T, E, F>(
    operation: &'static str,
    table: &'static str,
    query: &'static str,
    future: F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut watch = Watch {
        started: Instant::now(),
        operation,
        table,
        span: span(operation, table, query),
        outcome: Outcome::Cancelled,
    };
    let result = future.await;
    watch.outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Error(error_type::<E>()),
    };
    result
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Done,
    Error(&'static str),
    /// The future was dropped.
    Cancelled,
}

type Labels = (&'static str, &'static str, Outcome);
static DURATIONS: LazyLock<Kept<Labels, Timed>> = LazyLock::new(Kept::default);

/// An operation under way; counted, and its span ended, when it is dropped.
struct Watch {
    started: Instant,
    operation: &'static str,
    table: &'static str,
    span: Option<SdkSpan>,
    outcome: Outcome,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let timed = DURATIONS.get((self.operation, self.table, self.outcome), || {
            let error = match self.outcome {
                Outcome::Done => "",
                Outcome::Error(error) => error,
                Outcome::Cancelled => "cancelled",
            };
            Timed::new(
                &catalog::DB_DURATION,
                &[SYSTEM, self.operation, self.table, error],
            )
        });
        let recorded = self.span.as_ref().map(SdkSpan::span_context);
        timed.record(self.started, recorded);
        let Some(span) = &mut self.span else { return };
        if let Outcome::Error(error) = self.outcome {
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Made without `tracing`, because its scope is the database library; nothing
/// hangs below it.
fn span(operation: &'static str, table: &'static str, query: &'static str) -> Option<SdkSpan> {
    let parent = Span::current().context();
    let tracer = processor::database().filter(|_| parent.span().span_context().is_sampled())?;
    let summary = format!("{operation} {table}");
    let attributes = [
        KeyValue::new("db.system.name", SYSTEM),
        KeyValue::new("db.operation.name", operation),
        KeyValue::new("db.collection.name", table),
        KeyValue::new("db.query.summary", summary.clone()),
        KeyValue::new("db.query.text", query),
    ];
    let builder = tracer.span_builder(summary).with_kind(SpanKind::Client);
    Some(
        builder
            .with_attributes(attributes)
            .start_with_context(tracer, &parent),
    )
}
