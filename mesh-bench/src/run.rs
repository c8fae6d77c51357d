//! One scenario: all contestants up, then round after round of each in turn, so that
//! what disturbs the machine disturbs them all.

mod footprint;
mod spans;

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;

use crate::{
    contestants::{Contestant, Ground, Running},
    load::{self, Pace, Sample, Times},
    machine,
    process::Memory,
    report::{Row, Table},
    scenarios::{Scenario, Shape},
};

pub(crate) use footprint::Footprint;
pub(crate) use spans::SpanCount;

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Times that everybody has his turn.
    pub(crate) rounds: usize,
    pub(crate) times: Times,
    /// Idle connections for the footprint.
    pub(crate) connections: usize,
}

/// Measures a scenario.
pub(crate) async fn run(
    scenario: &Scenario,
    effort: Effort,
    ground: &Ground<'_>,
) -> anyhow::Result<Table> {
    let mut table = Table::new(scenario, machine::load());
    match scenario.shape {
        Shape::Load(pace) => under_load(scenario, pace, effort, ground, &mut table).await?,
        Shape::Footprint => {
            for contestant in &scenario.contestants {
                let row = footprint::measure(contestant, effort, ground).await;
                table.take(contestant.name, row);
            }
        }
    }
    table.loads.1 = machine::load();
    Ok(table)
}

/// A contestant while it is measured.
struct Turn<'a> {
    contestant: &'a Contestant,
    running: Running,
    samples: Vec<Sample>,
}

async fn under_load(
    scenario: &Scenario,
    pace: Pace,
    effort: Effort,
    ground: &Ground<'_>,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut turns = Vec::new();
    for contestant in &scenario.contestants {
        match contestant.start(ground).await {
            Ok(running) => turns.push(Turn {
                contestant,
                running,
                samples: Vec::new(),
            }),
            Err(error) => table.skip(contestant.name, &error),
        }
    }
    for _ in 0..effort.rounds {
        for turn in &mut turns {
            let (target, processes) = (turn.running.target, &turn.running.processes);
            let sample = load::run(target, pace, effort.times, processes)
                .await
                .with_context(|| format!("{} in {}", turn.contestant.name, scenario.name))?;
            turn.samples.push(sample);
        }
    }
    for turn in turns {
        table.add(close(turn).await);
    }
    table.relate();
    Ok(())
}

async fn close(turn: Turn<'_>) -> Row {
    let memory = Memory::of(&turn.running.processes);
    let answered: u64 = turn
        .samples
        .iter()
        .map(|sample| sample.answered_in_all)
        .sum();
    let spans = spans::check(&turn.contestant.dress, &turn.running, answered).await;
    let row = Row::under_load(turn.contestant, &turn.samples, memory, spans);
    end(turn.running).await;
    row
}

async fn end(running: Running) {
    for process in running.processes {
        process.stop().await;
    }
    sleep(Duration::from_millis(50)).await;
}
