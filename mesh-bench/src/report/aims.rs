//! Where each aim stands.

use serde::Serialize;

use super::Row;
use crate::{contestants::Kind, scenarios::Aim};

/// An aim and what was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// In words, with figures.
    pub(crate) text: String,
    pub(crate) met: bool,
}

/// None: who is needed for a judgement did not take part.
pub(super) fn judge(aim: Aim, rows: &[Row]) -> Option<Verdict> {
    let ours = rows.iter().find(|row| row.kind == Kind::MeshProxy)?;
    match aim {
        Aim::Cpu(aim) => {
            let ratio = ours.ratio?;
            Some(verdict("CPU a request as a share of Envoy's", ratio, aim))
        }
        Aim::AddedP99(aim) => {
            let ratio = ours.p99_ratio?;
            Some(verdict(
                "added 99th percentile as a share of Envoy's",
                ratio,
                aim,
            ))
        }
        Aim::Flat(aim) => {
            let first = ours.cpu_us?.0;
            let of_row = |row: &Row| Some(row.cpu_us?.0 / first - 1.0);
            let most = rows.iter().filter_map(of_row).fold(f64::MIN, f64::max);
            Some(verdict("growth of CPU a request", most, aim))
        }
        Aim::Memory { idle, connection } => {
            let footprint = ours.footprint?;
            let (own, each) = (footprint.idle.resident as f64, footprint.per_connection());
            Some(Verdict {
                text: format!(
                    "idle {:.1} MB (aim < {:.1}), {:.1} KiB for each idle connection (aim ≤ {:.1})",
                    own / 1e6,
                    idle / 1e6,
                    each / 1024.0,
                    connection / 1024.0
                ),
                met: own < idle && each <= connection,
            })
        }
    }
}

fn verdict(what: &str, measured: f64, aim: f64) -> Verdict {
    let met = measured <= aim;
    let by = if met {
        String::new()
    } else {
        format!(", missed by {:.0} %", (measured / aim - 1.0) * 100.0)
    };
    Verdict {
        text: format!("{what}: {measured:.2} (aim ≤ {aim:.2}{by})"),
        met,
    }
}
