//! Memory that a process holds.

use std::fs;

use serde::Serialize;

use super::Process;

/// Bytes of one or more processes, from `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// In RAM, program text and shared libraries included (`VmRSS`).
    pub(crate) resident: u64,
    /// In RAM and nobody else's (`RssAnon`).
    pub(crate) private: u64,
}

impl Memory {
    /// Of all of them together.
    pub(crate) fn of(processes: &[Process]) -> Self {
        processes.iter().fold(Self::default(), |sum, process| {
            let path = format!("/proc/{}/status", process.pid());
            let text = fs::read_to_string(path).unwrap_or_default();
            Self {
                resident: sum.resident + field(&text, "VmRSS:"),
                private: sum.private + field(&text, "RssAnon:"),
            }
        })
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes: Option<u64> =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn kilobytes_become_bytes() {
        assert_eq!(
            field("VmPeak:\t  9 kB\nVmRSS:\t    5120 kB\n", "VmRSS:"),
            5_242_880
        );
    }
}
