//! Prints `docs/telemetry.md`.
#![expect(clippy::print_stdout, reason = "printing is all it does")]

fn main() {
    print!("{}", mesh_telemetry::catalog::markdown());
}
