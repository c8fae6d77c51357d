//! One child: started, watched, restarted, stopped.

use std::{
    ffi::OsStr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{lines::Lines, plan::Spec, ready};
use crate::role;

/// First pause before a restart; it doubles with every failure in a row.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const BACKOFF_LONGEST: Duration = Duration::from_secs(10);
/// A child that was ready for this long starts over with the first pause.
const HEALTHY: Duration = Duration::from_secs(10);
/// Time for the last lines to arrive after a child ended.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Something that happened to a process.
pub(super) struct Event {
    pub(super) process: Arc<str>,
    pub(super) what: What,
}

pub(super) enum What {
    Started {
        pid: u32,
    },
    Ready {
        again: bool,
    },
    /// By itself.
    Ended(Ended),
    /// Because it was told to.
    Stopped,
}

/// A child that ended by itself.
pub(super) struct Ended {
    /// As `killed by signal 9`.
    pub(super) how: String,
    pub(super) last_lines: Vec<String>,
    /// In a row, without having been healthy in between.
    pub(super) failures: u32,
    pub(super) restart_in: Duration,
}

/// What every process of a mesh shares.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) binary: PathBuf,
    /// For `RUST_LOG` of children, unless it is set already.
    pub(super) verbose: bool,
    pub(super) events: UnboundedSender<Event>,
    /// Drain and end.
    pub(super) stop: CancellationToken,
    /// End now.
    pub(super) kill: CancellationToken,
    /// Tells when chaos is to be halted.
    pub(super) halts: watch::Receiver<()>,
}

impl Keeper {
    /// Keeps a process running until told to stop.
    pub(super) async fn keep(self, spec: Spec, lines: Lines) {
        let mut failures = 0;
        let mut was_ready = false;
        while !self.stop.is_cancelled() {
            let ended = match self.start(&spec, &lines) {
                Ok(running) => self.watch(running, &spec, &lines, &mut was_ready).await,
                Err(error) => Some(Run::not_started(&error)),
            };
            let Some(run) = ended else {
                return self.tell(&spec, What::Stopped);
            };
            failures = if run.was_healthy { 1 } else { failures + 1 };
            let restart_in = backoff(failures);
            self.tell(
                &spec,
                What::Ended(Ended {
                    how: run.how,
                    last_lines: lines.take_last(),
                    failures,
                    restart_in,
                }),
            );
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(restart_in) => {}
            }
        }
    }

    fn start(&self, spec: &Spec, lines: &Lines) -> std::io::Result<Running> {
        let mut command = Command::new(self.program());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_a_roles(name)) {
            command.env_remove(name);
        }
        command
            .args(&spec.args)
            .env(role::SUPERVISED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of reach of the terminal's Ctrl-C: the supervisor orders the end.
            .process_group(0)
            .kill_on_drop(true);
        if self.verbose && std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        let mut child = command.spawn()?;
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(mesh_telemetry::task::spawn(
                "child-stdout",
                lines.clone().follow(pipe),
            ));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(mesh_telemetry::task::spawn(
                "child-stderr",
                lines.clone().follow(pipe),
            ));
        }
        if let Some(pid) = child.id() {
            self.tell(spec, What::Started { pid });
        }
        // Kept apart from the child, which would close it when waited for.
        let stdin = child.stdin.take();
        Ok(Running {
            child,
            readers,
            _stdin: stdin,
        })
    }

    /// The binary by its name, for `ps`; if a rebuild took the file away, by
    /// the link that still works.
    fn program(&self) -> &Path {
        let linked = Path::new("/proc/self/exe");
        if !self.binary.exists() && linked.exists() {
            linked
        } else {
            &self.binary
        }
    }

    /// Until the child ends by itself; none: it was stopped.
    async fn watch(
        &self,
        mut running: Running,
        spec: &Spec,
        lines: &Lines,
        was_ready: &mut bool,
    ) -> Option<Run> {
        let mut ready_at = None;
        let mut halts = self.halts.clone();
        halts.mark_unchanged(); // what was before this child is not for it
        let health = async {
            if let Some(address) = spec.ready {
                ready::wait(address).await;
            }
        };
        tokio::pin!(health);
        let status = loop {
            tokio::select! {
                biased;
                status = running.child.wait() => break status,
                () = self.stop.cancelled() => {
                    self.end(&mut running).await;
                    running.last_lines().await;
                    return None;
                }
                // Before it is ready it may not listen for the signal, and would die of it.
                Ok(()) = halts.changed(), if spec.halts && ready_at.is_some() => {
                    running.signal(Signal::USR1);
                }
                () = &mut health, if ready_at.is_none() => {
                    ready_at = Some(Instant::now());
                    // What was said on the way up is no reason for a later end.
                    drop(lines.take_last());
                    let again = std::mem::replace(was_ready, true);
                    self.tell(spec, What::Ready { again });
                }
            }
        };
        running.last_lines().await;
        Some(Run {
            how: status.map_or_else(|error| error.to_string(), how),
            was_healthy: ready_at.is_some_and(|at| at.elapsed() >= HEALTHY),
        })
    }

    /// Asks the child to end, and insists when told so.
    async fn end(&self, running: &mut Running) {
        running.signal(Signal::TERM);
        tokio::select! {
            _ = running.child.wait() => {}
            () = self.kill.cancelled() => {
                let _ = running.child.kill().await;
            }
        }
    }

    fn tell(&self, spec: &Spec, what: What) {
        let process = Arc::clone(&spec.name);
        let _ = self.events.send(Event { process, what });
    }
}

struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    /// Closes with the supervisor, whatever ends it; the child then ends, too.
    _stdin: Option<tokio::process::ChildStdin>,
}

impl Running {
    fn signal(&self, signal: Signal) {
        // The child has not been waited for: its id cannot be another's yet.
        let id = self.child.id();
        if let Some(pid) = id.and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
    }

    async fn last_lines(&mut self) {
        let readers = async {
            for reader in &mut self.readers {
                let _ = reader.await;
            }
        };
        let _ = tokio::time::timeout(LAST_LINES, readers).await;
    }
}

/// How one run of a process ended.
struct Run {
    how: String,
    was_healthy: bool,
}

impl Run {
    fn not_started(error: &std::io::Error) -> Self {
        Self {
            how: format!("could not be started ({error})"),
            was_healthy: false,
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended without being asked".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_FIRST
        .saturating_mul(1 << doublings)
        .min(BACKOFF_LONGEST)
}

/// Whether a variable speaks to one role: set for the supervisor, it must not reach
/// twenty children, each of which gets flags of its own.
fn is_a_roles(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("GLASSMESH_") || name.starts_with("MESH_PROXY_") || name == "OTEL_SERVICE_NAME"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_come_ever_later_up_to_a_bound() {
        let pauses: Vec<_> = (1..=9).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!(backoff(u32::MAX), BACKOFF_LONGEST);
    }

    #[test]
    fn the_end_of_a_child_is_told_in_words() {
        assert_eq!(how(ExitStatus::from_raw(9)), "was killed by signal 9");
        assert_eq!(how(ExitStatus::from_raw(3 << 8)), "ended with exit code 3");
    }
}
