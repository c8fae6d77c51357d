//! `glassmesh stat` and `glassmesh top`: the edges of the mesh in numbers, once or
//! again and again.

mod screen;
mod table;

use std::{cmp::Ordering, time::Duration};

use clap::{Args, ValueEnum};
use mesh_console::api::EdgeState;
use mesh_proxy::config::units;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    console_client::{ConsoleAt, ConsoleClient},
    failure::Failure,
    out,
};
use screen::Screen;

/// Which edges, in which order.
#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    /// Only edges from or to this service
    service: Option<String>,
    /// What stands first
    #[arg(long, value_enum, default_value_t = Order::Rate)]
    sort: Order,
    #[command(flatten)]
    at: ConsoleAt,
}

/// The same, again and again.
#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    stat: StatArgs,
    /// Pause between two looks
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = units::duration::parse)]
    every: Duration,
    /// End after so many looks
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) const STAT_EXAMPLES: &str = "\
Examples:
  glassmesh stat                                every edge: rate, success, latency, retries, faults
  glassmesh stat orders                         what orders calls, and who calls it
  glassmesh stat --json | jq '.[] | select(.retries_per_second > 0)'

Numbers are of the last ten seconds, measured at the callers' sidecars. BEFORE is the share of
attempts that succeeded, SUCCESS that of requests: retries make the difference.";

pub(crate) const TOP_EXAMPLES: &str = "\
Examples:
  glassmesh top                                 every edge, each second; Ctrl-C ends it
  glassmesh top payments --sort p99
  glassmesh top --json --count 5                five looks, one JSON document a line";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Most requests first
    Rate,
    /// Least success first
    Success,
    /// Longest 99th percentile first
    P99,
    /// Most retries first
    Retries,
    /// By name
    Name,
}

/// Shows the edges once.
pub(crate) async fn stat(args: StatArgs) -> Result<(), Failure> {
    let edges = look(&args.at.client()?, &args).await?;
    if args.at.json {
        out::json(&edges)?;
    } else {
        out::line(table::draw(&edges));
    }
    Ok(())
}

/// Shows them until somebody has seen enough.
pub(crate) async fn top(args: TopArgs) -> Result<(), Failure> {
    let client = args.stat.at.client()?;
    let mut screen = (!args.stat.at.json).then(Screen::open);
    let mut ticks = interval(args.every.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    while args.count.is_none_or(|count| looks < count) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = ticks.tick() => {}
        }
        let edges = look(&client, &args.stat).await?;
        match &mut screen {
            Some(screen) => screen.show(&table::draw(&edges)),
            None => out::line(serde_json::to_string(&edges).map_err(anyhow::Error::from)?),
        }
        looks += 1;
    }
    Ok(())
}

async fn look(client: &ConsoleClient, args: &StatArgs) -> Result<Vec<EdgeState>, Failure> {
    if let Some(name) = &args.service {
        client.known_service(name).await?;
    }
    let overview = client.overview().await?;
    let of = |edge: &EdgeState| match &args.service {
        Some(name) => edge.source == *name || edge.destination == *name,
        None => true,
    };
    let mut edges: Vec<EdgeState> = overview.edges.into_iter().filter(of).collect();
    edges.sort_by(|one, other| compare(args.sort, one, other));
    Ok(edges)
}

/// By name where nothing else decides, so that rows do not jump.
fn compare(order: Order, one: &EdgeState, other: &EdgeState) -> Ordering {
    let descending = |of: fn(&EdgeState) -> f64| of(other).total_cmp(&of(one));
    let names = |edge: &EdgeState| (edge.source.clone(), edge.destination.clone());
    let decided = match order {
        Order::Rate => descending(|edge| edge.requests.rps.round()),
        Order::Success => descending(|edge| -edge.requests.success.unwrap_or(1.0)),
        Order::P99 => descending(|edge| edge.requests.p99_ms.unwrap_or(0.0)),
        Order::Retries => descending(|edge| edge.retries_per_second),
        Order::Name => Ordering::Equal,
    };
    decided.then_with(|| names(one).cmp(&names(other)))
}

#[cfg(test)]
mod tests {
    use mesh_console::api::{EdgeState, Signals};

    use super::{Order, compare};

    fn edge(source: &str, rps: f64, success: Option<f64>) -> EdgeState {
        EdgeState {
            source: source.to_owned(),
            destination: "payments".to_owned(),
            requests: Signals {
                rps,
                success,
                ..Signals::default()
            },
            attempts_per_second: rps,
            attempt_success: success,
            retries_per_second: 0.0,
            faults_per_second: 0.0,
        }
    }

    fn order(by: Order) -> Vec<String> {
        let mut edges = [
            edge("a", 1.0, Some(1.0)),
            edge("b", 5.2, None),
            edge("c", 2.0, Some(0.5)),
            edge("d", 5.4, Some(0.9)),
        ];
        edges.sort_by(|one, other| compare(by, one, other));
        edges.map(|edge| edge.source).to_vec()
    }

    #[test]
    fn the_first_row_is_the_one_that_was_asked_for() {
        assert_eq!(order(Order::Rate), ["b", "d", "c", "a"]);
        assert_eq!(order(Order::Success), ["c", "d", "a", "b"]);
        assert_eq!(order(Order::Name), ["a", "b", "c", "d"]);
    }
}
