//! Memory idle, with idle connections and after them; time from the start of the
//! process to its first answer.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Effort, end};
use crate::{
    contestants::{Contestant, Ground},
    load::{Idle, Pace, run as load},
    process::Memory,
    report::{Row, median},
};

/// How long memory may take to be given back.
const SETTLE: Duration = Duration::from_secs(5);
/// Requests at once for the memory under load.
const IN_FLIGHT: usize = 64;

/// Bytes and milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Footprint {
    /// From the start of the process to its first answer; median of the rounds.
    pub(crate) start_ms: f64,
    /// After the first answer.
    pub(crate) idle: Memory,
    /// With the idle connections.
    pub(crate) connected: Memory,
    /// How many there were.
    pub(crate) connections: usize,
    /// After they closed.
    pub(crate) closed: Memory,
    /// After a load.
    pub(crate) loaded: Memory,
}

impl Footprint {
    /// Bytes of memory for one idle connection.
    pub(crate) fn per_connection(&self) -> f64 {
        let more = self.connected.private.saturating_sub(self.idle.private);
        more as f64 / self.connections as f64
    }
}

/// Measures one contestant.
pub(super) async fn measure(
    contestant: &Contestant,
    effort: Effort,
    ground: &Ground<'_>,
) -> anyhow::Result<Row> {
    let mut starts = Vec::new();
    for _ in 1..effort.rounds {
        let (running, start) = timed(contestant, ground).await?;
        end(running).await;
        starts.push(start);
    }
    let (running, start) = timed(contestant, ground).await?;
    starts.push(start);
    sleep(SETTLE).await;
    let processes = &running.processes;
    let idle = Memory::of(processes);
    let connections = Idle::open(running.target.address, effort.connections).await?;
    sleep(SETTLE).await;
    let connected = Memory::of(processes);
    drop(connections);
    sleep(SETTLE).await;
    let closed = Memory::of(processes);
    let in_flight = IN_FLIGHT;
    let pace = Pace::Closed { in_flight };
    let sample = load(running.target, pace, effort.times, processes).await?;
    let footprint = Footprint {
        start_ms: median(&mut starts),
        idle,
        connected,
        connections: effort.connections,
        closed,
        loaded: Memory::of(processes),
    };
    end(running).await;
    Ok(Row::footprint(contestant, footprint, &sample))
}

async fn timed(
    contestant: &Contestant,
    ground: &Ground<'_>,
) -> anyhow::Result<(crate::contestants::Running, f64)> {
    let begun = Instant::now();
    let running = contestant.start(ground).await?;
    Ok((running, begun.elapsed().as_secs_f64() * 1e3))
}
