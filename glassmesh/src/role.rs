//! The roles that `glassmesh up` starts as processes of their own.
//!
//! A role ends on SIGTERM or Ctrl-C. One that is supervised (`GLASSMESH_SUPERVISED=1`)
//! leaves Ctrl-C to its supervisor, and ends when its stdin does: the pipe's
//! other end closes even when the supervisor is killed.

use std::{
    env,
    io::{ErrorKind, Read as _},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Set for the children of `glassmesh up`.
pub(crate) const SUPERVISED: &str = "GLASSMESH_SUPERVISED";

/// Time a role has to drain after its supervisor is gone and can no longer kill it.
const ORPHAN_LIMIT: Duration = Duration::from_secs(10);

/// Was this process started by `glassmesh up`?
pub(crate) fn is_supervised() -> bool {
    env::var_os(SUPERVISED).is_some_and(|value| value == "1")
}

/// A token that is cancelled when this process is to drain and end.
pub(crate) fn shutdown_token() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Halts chaos where there is any; who sends it to all processes of a mesh must not
    // end the others. Once asked for, it does not end this one.
    drop(signal(SignalKind::user_defined1())?);
    let supervised = is_supervised();
    if supervised {
        watch_stdin(token.clone())?;
    }
    let cancelled = token.clone();
    mesh_telemetry::task::spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            () = interrupts(&mut interrupt, supervised) => {}
        }
        cancelled.cancel();
        interrupts(&mut interrupt, supervised).await;
        end_at_once(130);
    });
    Ok(token)
}

/// Resolves at the next Ctrl-C; never when a supervisor looks after them.
async fn interrupts(interrupt: &mut tokio::signal::unix::Signal, supervised: bool) {
    loop {
        interrupt.recv().await;
        if !supervised {
            return;
        }
    }
}

fn watch_stdin(token: CancellationToken) -> anyhow::Result<()> {
    let watch = move || {
        let mut stdin = std::io::stdin().lock();
        let mut scratch = [0; 64];
        loop {
            match stdin.read(&mut scratch) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        token.cancel();
        // The process normally ends long before, and this thread with it.
        thread::sleep(ORPHAN_LIMIT);
        end_at_once(1);
    };
    thread::Builder::new()
        .name("stdin".to_owned())
        .stack_size(64 << 10)
        .spawn(watch)
        .context("cannot start the thread that watches stdin")?;
    Ok(())
}

#[expect(
    clippy::exit,
    reason = "the last resort of a role that was told to end and did not"
)]
fn end_at_once(code: i32) -> ! {
    std::process::exit(code)
}
