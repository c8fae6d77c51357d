//! `glassmesh trace`: one trace as a waterfall in the terminal.

mod model;
mod waterfall;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use comfy_table::Table;
use mesh_console::api::TraceSummary;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    complete,
    console_client::{ConsoleAt, ConsoleClient},
    failure::Failure,
    out,
};
pub(crate) use model::{Event, Span, Trace};

/// Width where there is no terminal to ask.
const DEFAULT_WIDTH: u16 = 120;
/// Digits of a trace id.
const ID_DIGITS: usize = 32;
/// A trace whose last span ended this long ago is complete.
const FRESH: Duration = Duration::from_secs(2);
/// A trace that did not grow for this long is complete; batches are sent every
/// half second.
const SETTLED: Duration = Duration::from_millis(800);
/// Longest wait for a trace that goes on growing.
const PATIENCE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(100);
/// Newest traces among which a prefix is looked for.
const SEARCHED: usize = 1000;

/// Which trace, of which console.
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    at: ConsoleAt,
}

/// Which trace.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Id of the trace, the beginning of one, or `latest`
    #[arg(value_name = "ID|latest", add = complete::traces())]
    id: String,
    /// With `latest`: only traces of this kind
    #[arg(long, value_enum, default_value_t = Filter::All)]
    filter: Filter,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  glassmesh trace latest                        the newest trace
  glassmesh trace latest --filter faulted       the newest that a chaos rule hit
  glassmesh trace 4bf92f35                      by the beginning of its id
  glassmesh trace 4bf92f35 --json               as the Jaeger query API gives it

The console shows the ids, and /docs of the shop that of each request it sends; a request of
your own that carries a `traceparent` keeps the id in it.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filter {
    /// Every trace
    All,
    /// Traces whose root failed
    Failed,
    /// Traces that a chaos rule hit
    Faulted,
    /// Traces with a retry
    Retried,
    /// Slow traces
    Slow,
}

impl Filter {
    const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Faulted => "faulted",
            Self::Retried => "retried",
            Self::Slow => "slow",
        }
    }
}

/// Finds the trace and draws it.
pub(crate) async fn run(args: TraceArgs) -> Result<(), Failure> {
    let client = args.at.client()?;
    let id = find(&client, &args.which).await?;
    let trace = settled(&client, &id).await?;
    if args.at.json {
        out::json(&trace)?;
    } else {
        draw(&trace)?;
    }
    Ok(())
}

/// Finds a trace; complete, as far as one can tell.
pub(crate) async fn load(client: &ConsoleClient, which: &Which) -> Result<Trace, Failure> {
    let id = find(client, which).await?;
    Ok(whole(client, &id).await?)
}

/// The trace of this id, once it is complete.
pub(crate) async fn whole(client: &ConsoleClient, id: &str) -> anyhow::Result<Trace> {
    Trace::from_jaeger(&settled(client, id).await?)
}

/// The trace, once no more spans come in: processes export in batches, and a
/// trace that ended just now is still on its way.
async fn settled(client: &ConsoleClient, id: &str) -> anyhow::Result<Value> {
    let start = Instant::now();
    let mut last_change = start;
    let mut trace = fetch(client, id).await?;
    while model::is_young(&trace, FRESH)
        && last_change.elapsed() < SETTLED
        && start.elapsed() < PATIENCE
    {
        tokio::time::sleep(PAUSE).await;
        let again = fetch(client, id).await?;
        if model::span_count(&again) != model::span_count(&trace) {
            last_change = Instant::now();
        }
        trace = again;
    }
    Ok(trace)
}

async fn fetch(client: &ConsoleClient, id: &str) -> anyhow::Result<Value> {
    let trace = client.trace(id).await?;
    trace.with_context(|| format!("the console does not hold trace {id} (any more)"))
}

fn draw(answer: &Value) -> anyhow::Result<()> {
    let trace = Trace::from_jaeger(answer)?;
    let width = Table::new().width().unwrap_or(DEFAULT_WIDTH);
    for line in waterfall::draw(&trace, usize::from(width)) {
        out::line(line);
    }
    Ok(())
}

async fn find(client: &ConsoleClient, which: &Which) -> Result<String, Failure> {
    if which.id == "latest" {
        let newest = client.traces(which.filter.name(), 1).await?;
        return match newest.into_iter().next() {
            Some(trace) => Ok(trace.trace_id),
            None => Err(nothing_found(which.filter)),
        };
    }
    let id = which.id.to_ascii_lowercase();
    if id.is_empty() || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::Invalid(format!(
            "`{}` is no trace id: expected up to {ID_DIGITS} hex digits, or `latest`",
            which.id
        )));
    }
    if id.len() >= ID_DIGITS {
        return Ok(id);
    }
    Ok(by_prefix(&client.traces("all", SEARCHED).await?, &id)?)
}

fn nothing_found(filter: Filter) -> Failure {
    let hint = match filter {
        Filter::All => "send the shop a request, or start with --rps 20",
        Filter::Faulted => "turn a rule on: `glassmesh chaos list` shows them",
        Filter::Retried | Filter::Failed | Filter::Slow => {
            "break something: `glassmesh chaos list` shows the rules"
        }
    };
    let kind = match filter {
        Filter::All => "",
        filter => filter.name(),
    };
    Failure::Failed(anyhow!("the console holds no {kind} trace yet; {hint}"))
}

fn by_prefix(traces: &[TraceSummary], prefix: &str) -> anyhow::Result<String> {
    let mut found = traces.iter().map(|trace| &trace.trace_id);
    let mut matching = found.by_ref().filter(|id| id.starts_with(prefix));
    let first = matching.next().ok_or_else(|| {
        anyhow!("no trace whose id begins with {prefix} is among the newest {SEARCHED}")
    })?;
    match matching.next() {
        None => Ok(first.clone()),
        Some(second) => Err(anyhow!(
            "{prefix} is the beginning of several ids, as {first} and {second}; give more digits"
        )),
    }
}
