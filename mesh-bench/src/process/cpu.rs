//! Time that processes spent on a core, all their threads together.

use std::{collections::HashMap, fs, time::Duration};

use rustix::param::clock_ticks_per_second;

use super::Process;

/// Reads the scheduler's account of every thread. A thread that has ended is no longer
/// listed: what was last read of it stays in the sum, and the kernel's coarse account of
/// the whole process, which forgets nobody, is compared with it.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    pids: Vec<u32>,
    threads: HashMap<(u32, u32), Thread>,
}

#[derive(Clone, Debug)]
struct Thread {
    name: String,
    first: u64,
    last: u64,
}

/// What the coarse account may be off by: two ticks at each end.
const COARSE: Duration = Duration::from_millis(40);

/// Reading of a [`CpuMeter`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    fine: Duration,
    coarse: Duration,
}

impl Reading {
    /// Time between an earlier reading and this one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let fine = self.fine.saturating_sub(earlier.fine);
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        if coarse > fine + COARSE + fine / 50 {
            coarse // threads came and went unseen
        } else {
            fine
        }
    }
}

impl CpuMeter {
    pub(crate) fn new(processes: &[Process]) -> Self {
        let mut meter = Self {
            pids: processes.iter().map(Process::pid).collect(),
            threads: HashMap::new(),
        };
        meter.read();
        meter
    }

    /// All time on a core since the processes began.
    pub(crate) fn read(&mut self) -> Reading {
        let mut coarse = Duration::ZERO;
        for pid in self.pids.clone() {
            self.read_threads(pid);
            coarse += of_process(pid).unwrap_or_default();
        }
        let nanoseconds = self.threads.values().map(|thread| thread.last).sum();
        Reading {
            fine: Duration::from_nanos(nanoseconds),
            coarse,
        }
    }

    /// Starts the account by threads anew.
    pub(crate) fn mark(&mut self) {
        for thread in self.threads.values_mut() {
            thread.first = thread.last;
        }
    }

    /// Time since the last [`mark`](Self::mark) by name of thread, most first.
    pub(crate) fn by_thread(&self) -> Vec<(String, Duration)> {
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for thread in self.threads.values() {
            *sums.entry(&thread.name).or_default() += thread.last - thread.first;
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(name, time)| (name.to_owned(), Duration::from_nanos(time)))
            .collect();
        sums.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        sums
    }

    fn read_threads(&mut self, pid: u32) {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return;
        };
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let folder = task.path();
            let Some(time) = fs::read_to_string(folder.join("schedstat"))
                .ok()
                .and_then(|text| text.split(' ').next()?.parse().ok())
            else {
                continue;
            };
            self.threads
                .entry((pid, tid))
                .or_insert_with(|| Thread {
                    name: fs::read_to_string(folder.join("comm"))
                        .map_or_else(|_| tid.to_string(), |name| name.trim().to_owned()),
                    first: 0,
                    last: 0,
                })
                .last = time;
        }
    }
}

/// `utime` and `stime` of `/proc/PID/stat`: also of threads that have ended.
fn of_process(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    ticks(&text)
        .map(|ticks| Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

fn ticks(stat: &str) -> Option<u64> {
    // The name of the program, in parentheses, may hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11); // utime is field 14, the state field 3
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn times_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194304 95 0 0 0 310 42 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks(stat), Some(352));
    }
}
