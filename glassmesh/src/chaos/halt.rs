//! `glassmesh chaos halt`: all faults off, at once, also when no console is there.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{change, receipt::Receipt};
use crate::{
    console_client::{ConsoleAt, Unreachable},
    failure::Failure,
    out::{self, NOTE, Styled},
    up::data_dir,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  glassmesh chaos halt
  kill -USR1 PID            where no console answers: PID is that of `glassmesh up`, or of a sidecar

When the console cannot be reached and the mesh of ./.glassmesh runs, the command sends
that signal itself; the sidecars then drop all rules until the console has new ones for them.";

/// Who halts is in a hurry: a console that hangs is as good as none.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(at: &ConsoleAt) -> Result<(), Failure> {
    let client = at.client()?;
    let receipt = Receipt::start();
    match tokio::time::timeout(PATIENCE, client.halt()).await {
        Ok(Ok(())) => {
            let done = json!({ "halted": true, "by": "console" });
            let text = || "all rules are off".to_owned();
            change::finish(&client, at.json, receipt, done, text).await
        }
        Ok(Err(why)) if why.is::<Unreachable>() => without_console(at, why),
        Ok(Err(why)) => Err(why.into()),
        Err(_) => without_console(
            at,
            anyhow!("the console did not answer within {PATIENCE:?}"),
        ),
    }
}

/// The way that needs no console: a signal to the supervisor, which passes it on to
/// every sidecar.
fn without_console(at: &ConsoleAt, why: anyhow::Error) -> Result<(), Failure> {
    let here = Path::new(data_dir::DEFAULT);
    let supervisor = at.is_here().then(|| data_dir::running(here)).flatten();
    let Some(pid) = supervisor.and_then(Pid::from_raw) else {
        return Err(Failure::Failed(why.context(BY_HAND)));
    };
    out::note(format_args!("{}", Styled(NOTE, format!("{why:#}"))));
    let number = pid.as_raw_nonzero();
    out::note(format_args!(
        "telling the mesh that runs in {} without it: kill -USR1 {number}",
        here.display()
    ));
    kill_process(pid, Signal::USR1).map_err(|error| anyhow::Error::new(error).context(BY_HAND))?;
    if at.json {
        out::json(&json!({ "halted": true, "by": "signal", "supervisor": number.get() }))?;
    } else {
        out::line(
            "every sidecar was told to drop all rules; they stay off until the console has new ones",
        );
    }
    Ok(())
}

const BY_HAND: &str = "\
nothing was halted. Without a console, a signal does it:
  kill -USR1 PID      PID of `glassmesh up` (in run/lock of its data directory): all sidecars
  kill -USR1 PID      PID of a `glassmesh proxy` or `mesh-proxy`: this sidecar";
