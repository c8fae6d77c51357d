//! The command as a process: started, told signals, waited for.

use std::{
    ffi::OsString, io::IsTerminal as _, os::unix::process::ExitStatusExt as _, process::ExitStatus,
    time::Duration,
};

use rustix::process::{Pid, Signal as Number, kill_process};
use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::environment::Environment;
use crate::failure::Failure;

/// Time for the command to end when its sidecar is gone.
const GRACE: Duration = Duration::from_secs(10);

/// A signal that came for the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came(Number);

impl Came {
    /// As shells have it for a process that the signal ends.
    pub(super) fn exit_code(self) -> u8 {
        by_signal(self.0.as_raw())
    }

    /// A terminal sends these to the whole group: the command has them already.
    fn is_shared(self) -> bool {
        (self.0 == Number::INT || self.0 == Number::QUIT) && std::io::stdin().is_terminal()
    }
}

/// All signals that a command may want to hear of.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    pub(super) async fn next(&mut self) -> Came {
        Came(tokio::select! {
            _ = self.hangup.recv() => Number::HUP,
            _ = self.interrupt.recv() => Number::INT,
            _ = self.quit.recv() => Number::QUIT,
            _ = self.terminate.recv() => Number::TERM,
            _ = self.user1.recv() => Number::USR1,
            _ = self.user2.recv() => Number::USR2,
        })
    }
}

/// The running command.
pub(super) struct Child(tokio::process::Child);

impl Child {
    /// Starts it in this terminal, with this process's files.
    pub(super) fn start(words: &[OsString], environment: &Environment) -> Result<Self, Failure> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Failure::Invalid(
                "no command is given after `--`".to_owned(),
            ));
        };
        let started = Command::new(program)
            .args(arguments)
            .envs(environment.0.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .spawn();
        started.map(Self).map_err(|error| {
            let program = program.display();
            Failure::Invalid(format!(
                "the command `{program}` cannot be started: {error}"
            ))
        })
    }

    /// Waits for its end, and passes signals on. Its exit code, as shells have it.
    pub(super) async fn wait(&mut self, signals: &mut Signals) -> anyhow::Result<u8> {
        loop {
            tokio::select! {
                ended = self.0.wait() => return Ok(exit_code(ended?)),
                came = signals.next() => if !came.is_shared() {
                    self.tell(came.0);
                }
            }
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub(super) async fn end(&mut self) {
        self.tell(Number::TERM);
        if timeout(GRACE, self.0.wait()).await.is_err() {
            let _ = self.0.kill().await;
        }
    }

    fn tell(&self, number: Number) {
        // It has not been waited for: its id cannot be another's yet.
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, number);
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(signal)) => by_signal(signal),
        (None, None) => 1,
    }
}

fn by_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(1)
}
