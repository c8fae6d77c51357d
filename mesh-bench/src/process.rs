//! Processes under test: started on the proxies' core, measured, and ended by id.

mod cpu;
mod memory;

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

pub(crate) use cpu::CpuMeter;
pub(crate) use memory::Memory;

use crate::machine::{Cores, pin};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(8);

/// One process under test; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a command on the proxies' core; what it says goes to `NAME.log` in `folder`.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        cores: Cores,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A child begins on the core of the thread that starts it.
        pin(cores.proxy)?;
        let started = command.spawn();
        pin(cores.rest)?;
        let child = started.with_context(|| format!("{name} does not start: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Name of its files.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and waits; then kills it.
    pub(crate) async fn stop(mut self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return };
        let _already_gone = kill_process(pid, Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while self.runs() && Instant::now() < until {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            let _already_gone = self.child.kill();
            let _status = self.child.wait();
        }
    }
}
