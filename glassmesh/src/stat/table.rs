//! Edges as a table.

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use mesh_console::api::EdgeState;

const HEADER: [&str; 9] = [
    "EDGE",
    "RPS",
    "SUCCESS",
    "BEFORE",
    "P50",
    "P99",
    "ATTEMPTS",
    "RETRIES/s",
    "FAULTS/s",
];

/// Under this share of success a number is red; under the other it is yellow.
const POOR: f64 = 0.95;
const FAIR: f64 = 0.999;

pub(super) fn draw(edges: &[EdgeState]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER.map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
    for edge in edges {
        table.add_row(row(edge));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(edge: &EdgeState) -> [Cell; HEADER.len()] {
    let requests = &edge.requests;
    [
        Cell::new(format!("{} → {}", edge.source, edge.destination)),
        Cell::new(format!("{:.1}", requests.rps)),
        share(requests.success),
        share(edge.attempt_success),
        milliseconds(requests.p50_ms),
        milliseconds(requests.p99_ms),
        amplification(edge),
        count(edge.retries_per_second),
        count(edge.faults_per_second),
    ]
}

fn share(share: Option<f64>) -> Cell {
    let Some(share) = share else {
        return Cell::new("–");
    };
    let cell = Cell::new(format!("{:.1} %", share * 100.0));
    match share {
        share if share < POOR => cell.fg(Color::Red),
        share if share < FAIR => cell.fg(Color::Yellow),
        _ => cell,
    }
}

fn milliseconds(time: Option<f64>) -> Cell {
    Cell::new(match time {
        None => "–".to_owned(),
        Some(time) if time < 10.0 => format!("{time:.1} ms"),
        Some(time) => format!("{time:.0} ms"),
    })
}

/// Attempts for each request: what retries make of the load. What enters the mesh has
/// a caller without a sidecar, and no attempts that could be counted.
fn amplification(edge: &EdgeState) -> Cell {
    if edge.attempts_per_second <= 0.0 || edge.requests.rps <= 0.0 {
        return Cell::new("–");
    }
    let ratio = edge.attempts_per_second / edge.requests.rps;
    let cell = Cell::new(format!("×{ratio:.2}"));
    if ratio > 1.05 {
        cell.fg(Color::Yellow)
    } else {
        cell
    }
}

fn count(per_second: f64) -> Cell {
    if per_second <= 0.0 {
        Cell::new("–")
    } else {
        Cell::new(format!("{per_second:.1}")).fg(Color::Yellow)
    }
}
