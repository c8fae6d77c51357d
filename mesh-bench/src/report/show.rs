//! Tables for people.

use std::io::Write as _;

use comfy_table::{CellAlignment, Table as Grid, presets::UTF8_HORIZONTAL_ONLY};

use super::{Report, Row, Table};
use crate::contestants::Kind;

/// One line on stdout.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _closed_pipe = writeln!(anstream::stdout(), "{text}");
}

/// What it runs on.
pub(crate) fn show_machine(report: &Report) {
    let machine = &report.machine;
    line(format!(
        "{}, {} cores, Linux {}; proxies on core {}, load, upstream and receiver on core {}; load average {:.1}",
        machine.processor,
        machine.cores,
        machine.kernel,
        report.cores.proxy,
        report.cores.rest,
        machine.load,
    ));
    for version in &report.versions {
        line(format!("  {version}"));
    }
}

/// One table.
pub(crate) fn show(table: &Table) {
    let (before, after) = table.loads;
    line(format!(
        "\n{}: {} (load average {before:.1} → {after:.1})",
        table.name, table.title
    ));
    let mut grid = Grid::new();
    grid.load_style(UTF8_HORIZONTAL_ONLY);
    if table.rows.iter().any(|row| row.footprint.is_some()) {
        footprints(&mut grid, table);
    } else {
        loads(&mut grid, table);
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    line(grid);
    for row in &table.rows {
        remarks(row);
    }
    for (name, why) in &table.skipped {
        line(format!("  skipped {name}: {why}"));
    }
    if let Some(verdict) = &table.verdict {
        let mark = if verdict.met { "met" } else { "missed" };
        line(format!("  aim {mark}: {}", verdict.text));
    }
}

fn loads(grid: &mut Grid, table: &Table) {
    grid.set_header([
        "",
        "CPU µs/req",
        "least",
        "÷ Envoy",
        "req/s",
        "p50 ms",
        "p99 ms",
        "+p50",
        "+p99",
        "RSS MB",
        "spans/req",
    ]);
    for row in &table.rows {
        grid.add_row([
            row.name.clone(),
            maybe(row.cpu_us.map(|cpu| cpu.0), 1),
            maybe(row.cpu_us.map(|cpu| cpu.1), 1),
            maybe(row.ratio, 2),
            format!("{:.0}", row.rate),
            format!("{:.3}", row.latency_ms.0),
            format!("{:.3}", row.latency_ms.1),
            maybe(row.added_ms.map(|added| added.0), 3),
            maybe(row.added_ms.map(|added| added.1), 3),
            megabytes(row, row.memory.resident),
            row.spans.as_ref().map_or_else(String::new, |spans| {
                format!("{:.2}", spans.arrived as f64 / spans.requests as f64)
            }),
        ]);
    }
}

fn footprints(grid: &mut Grid, table: &Table) {
    grid.set_header([
        "",
        "start ms",
        "idle MB",
        "private",
        "connected",
        "KiB each",
        "closed",
        "loaded",
        "CPU µs/req",
    ]);
    for row in &table.rows {
        let Some(footprint) = &row.footprint else {
            continue;
        };
        grid.add_row([
            row.name.clone(),
            format!("{:.0}", footprint.start_ms),
            megabytes(row, footprint.idle.resident),
            megabytes(row, footprint.idle.private),
            megabytes(row, footprint.connected.resident),
            format!("{:.1}", footprint.per_connection() / 1024.0),
            megabytes(row, footprint.closed.resident),
            megabytes(row, footprint.loaded.resident),
            maybe(row.cpu_us.map(|cpu| cpu.0), 1),
        ]);
    }
}

fn megabytes(row: &Row, bytes: u64) -> String {
    if row.kind == Kind::Direct {
        return String::new();
    }
    format!("{:.1}", bytes as f64 / 1e6)
}

fn maybe(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{figure:.digits$}"))
}

/// What a table has no room for.
fn remarks(row: &Row) {
    if row.threads.len() > 1 {
        let threads = row
            .threads
            .iter()
            .map(|(name, time)| format!("{name} {time:.1}"));
        line(format!(
            "  {}, µs by thread: {}",
            row.name,
            threads.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(spans) = &row.spans {
        let own = spans
            .own
            .map_or_else(String::new, |[exported, failed, dropped]| {
                format!("; it counts {exported} exported, {failed} failed, {dropped} dropped")
            });
        line(format!(
            "  {}: {} spans, {} whole traces and {} broken of {} requests{own}{}",
            row.name,
            spans.arrived,
            spans.whole_traces,
            spans.broken_traces,
            spans.requests,
            if row.spans_complete {
                ""
            } else {
                " — INCOMPLETE"
            },
        ));
    }
    if row.failed > 0 {
        let failure = row.failure.as_deref().unwrap_or_default();
        line(format!(
            "  {}: {} FAILED, first: {failure}",
            row.name, row.failed
        ));
    }
}
