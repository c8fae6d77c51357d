//! What came out: tables for people, JSON for programs.

mod aims;
mod show;

use serde::Serialize;

use crate::{
    contestants::{Contestant, Kind},
    load::Sample,
    machine::{Cores, Machine},
    process::Memory,
    run::{Footprint, SpanCount},
    scenarios::{Aim, Scenario},
};

pub(crate) use show::{line, show, show_machine};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) cores: Cores,
    /// Versions of those who took part.
    pub(crate) versions: Vec<String>,
    pub(crate) tables: Vec<Table>,
}

/// One scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Load of the machine before and after: how far to trust times.
    pub(crate) loads: (f64, f64),
    pub(crate) rows: Vec<Row>,
    /// Who did not take part, and why.
    pub(crate) skipped: Vec<(String, String)>,
    /// What was wanted, and how it stands.
    pub(crate) verdict: Option<aims::Verdict>,
    #[serde(skip)]
    aim: Option<Aim>,
}

/// One contestant.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Microseconds on a core for one answer: median and least of the rounds.
    pub(crate) cpu_us: Option<(f64, f64)>,
    /// To the first Envoy of the table, from the medians.
    pub(crate) ratio: Option<f64>,
    /// The same for the added 99th percentile.
    pub(crate) p99_ratio: Option<f64>,
    /// Answers a second.
    pub(crate) rate: f64,
    /// Milliseconds: median and 99th percentile, medians of the rounds.
    pub(crate) latency_ms: (f64, f64),
    /// The same less what it takes without a proxy, where that was measured.
    pub(crate) added_ms: Option<(f64, f64)>,
    /// Answers that were wrong or did not come.
    pub(crate) failed: u64,
    /// What the first of them was.
    pub(crate) failure: Option<String>,
    /// Memory at the end of the load.
    pub(crate) memory: Memory,
    pub(crate) spans: Option<SpanCount>,
    /// All spans came, or were counted as lost.
    pub(crate) spans_complete: bool,
    /// Microseconds for one answer by thread, most first.
    pub(crate) threads: Vec<(String, f64)>,
    pub(crate) footprint: Option<Footprint>,
}

impl Row {
    /// Of the samples of all rounds.
    pub(crate) fn under_load(
        contestant: &Contestant,
        samples: &[Sample],
        memory: Memory,
        spans: Option<SpanCount>,
    ) -> Self {
        let of = |figure: &dyn Fn(&Sample) -> f64| {
            let mut figures: Vec<_> = samples.iter().map(figure).collect();
            median(&mut figures)
        };
        let least = samples
            .iter()
            .map(Sample::cpu_per_request)
            .fold(f64::MAX, f64::min);
        let has_processes = contestant.kind != Kind::Direct;
        Self {
            name: contestant.name.to_owned(),
            kind: contestant.kind,
            cpu_us: has_processes.then(|| (of(&Sample::cpu_per_request), least)),
            ratio: None,
            p99_ratio: None,
            rate: of(&Sample::rate),
            latency_ms: (
                of(&|sample| sample.quantile(0.5)),
                of(&|sample| sample.quantile(0.99)),
            ),
            added_ms: None,
            failed: samples.iter().map(|sample| sample.failed).sum(),
            failure: samples.iter().find_map(|sample| sample.failure.clone()),
            memory,
            spans_complete: spans
                .as_ref()
                .is_none_or(|spans| spans.is_complete(&contestant.dress)),
            spans,
            threads: samples.last().map(threads).unwrap_or_default(),
            footprint: None,
        }
    }

    /// Of memory and start.
    pub(crate) fn footprint(
        contestant: &Contestant,
        footprint: Footprint,
        sample: &Sample,
    ) -> Self {
        let memory = footprint.loaded;
        let samples = std::slice::from_ref(sample);
        Self {
            footprint: Some(footprint),
            ..Self::under_load(contestant, samples, memory, None)
        }
    }

    /// Nothing went wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.failed == 0 && self.spans_complete && self.rate > 0.0
    }
}

fn threads(sample: &Sample) -> Vec<(String, f64)> {
    let per_answer = |time: std::time::Duration| time.as_secs_f64() * 1e6 / sample.answered as f64;
    sample
        .by_thread
        .iter()
        .map(|(name, time)| (name.clone(), per_answer(*time)))
        .filter(|(_, time)| *time >= 0.01)
        .collect()
}

impl Table {
    pub(crate) fn new(scenario: &Scenario, load: f64) -> Self {
        Self {
            name: scenario.name,
            title: scenario.title,
            loads: (load, load),
            rows: Vec::new(),
            skipped: Vec::new(),
            verdict: None,
            aim: scenario.aim,
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn skip(&mut self, name: &str, why: &anyhow::Error) {
        self.skipped.push((name.to_owned(), format!("{why:#}")));
    }

    /// A row, or why there is none.
    pub(crate) fn take(&mut self, name: &str, row: anyhow::Result<Row>) {
        match row {
            Ok(row) => self.add(row),
            Err(error) => self.skip(name, &error),
        }
        self.relate();
    }

    /// Compares the rows with one another.
    pub(crate) fn relate(&mut self) {
        let find = |kind| self.rows.iter().find(move |row: &&Row| row.kind == kind);
        let direct = find(Kind::Direct).map(|row| row.latency_ms);
        for row in &mut self.rows {
            row.added_ms = direct
                .filter(|_| row.kind != Kind::Direct)
                .map(|(p50, p99)| (row.latency_ms.0 - p50, row.latency_ms.1 - p99));
        }
        let envoy = self.rows.iter().find(|row| row.kind == Kind::Envoy);
        let reference = envoy.map(|row| (row.cpu_us, row.added_ms));
        for row in &mut self.rows {
            let (cpu, added) = reference.unwrap_or_default();
            row.ratio = row.cpu_us.zip(cpu).map(|(own, other)| own.0 / other.0);
            row.p99_ratio = row.added_ms.zip(added).map(|(own, other)| own.1 / other.1);
        }
        self.verdict = self.aim.and_then(|aim| aims::judge(aim, &self.rows));
    }
}

/// The middle of the figures, sorting them; NaN of none.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&mut [4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&mut []).is_nan());
    }
}
