//! Hot reload of the configuration file: a change is put in force as a whole, or
//! refused with everything that is wrong with it, and then the old one stays.
//!
//! The policy and the sampling of traces can change while a sidecar runs; who it is
//! and where it listens cannot. A file in which one of those changed is refused as
//! a whole, too: half a change is the one thing that nobody asked for.

mod difference;
mod links;
mod watch;

use std::{
    fmt::Display,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use difference::restart_needed;

use crate::{Sidecar, cli::ProxyArgs, config::SidecarConfig, error::RunError};
use watch::Watch;

/// Follows the file, if there is one, and `SIGHUP`, for ever.
pub(crate) async fn follow(sidecar: &Sidecar, args: Option<ProxyArgs>) {
    let mut file = args.and_then(File::of);
    let mut hangups = hangups();
    loop {
        tokio::select! {
            () = hangup(hangups.as_mut()) => {
                sidecar.reopen_logs();
                sidecar.refresh_certificates();
                if let Some(file) = &mut file {
                    file.seen = None; // asked for: also when it says what it said before
                    file.reload(sidecar).await;
                }
            }
            () = changed(file.as_mut()) => {
                if let Some(file) = &mut file {
                    file.reload(sidecar).await;
                }
            }
        }
    }
}

fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for"))
        .ok()
}

async fn hangup(signals: Option<&mut Signal>) {
    let received = match signals {
        Some(signals) => signals.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn changed(file: Option<&mut File>) {
    match file {
        Some(file) => file.watch.changed().await,
        None => std::future::pending().await,
    }
}

/// The file that is followed.
struct File {
    args: ProxyArgs,
    name: String,
    watch: Watch,
    /// What was read last, so that a burst of events, or a file that is written
    /// anew with the same text, is said once.
    seen: Option<u64>,
}

impl File {
    fn of(args: ProxyArgs) -> Option<Self> {
        let path = args.config.clone()?;
        Some(Self {
            name: path.display().to_string(),
            watch: Watch::of(path),
            seen: args.read().ok().map(|text| fingerprint(&text)),
            args,
        })
    }

    async fn reload(&mut self, sidecar: &Sidecar) {
        let args = self.args.clone();
        // A large file is read and understood beside the requests, not between them.
        let read = tokio::task::spawn_blocking(move || read(&args)).await;
        let (seen, config) = match read {
            Ok(read) => read,
            Err(error) => return tracing::error!(%error, "the configuration file was not read"),
        };
        if self.seen.replace(seen) == Some(seen) {
            return;
        }
        let file = self.name.as_str();
        let outcome = match config {
            Ok(config) => sidecar.reload(config),
            Err(error) => Err(sidecar.refuse_file(file, &error)),
        };
        match outcome {
            Ok(true) => tracing::info!(file, "the changed configuration file is in force"),
            Ok(false) => tracing::warn!(
                file,
                "the changed configuration file is in force but for its `policy`: the console's snapshots are"
            ),
            Err(problems) => {
                for problem in problems {
                    complain(file, &problem);
                }
            }
        }
    }
}

fn complain(file: &str, problem: &impl Display) {
    tracing::error!(file, "the changed configuration file is refused: {problem}");
}

/// What the file says now, and a fingerprint of that.
fn read(args: &ProxyArgs) -> (u64, Result<SidecarConfig, RunError>) {
    match args.read() {
        Ok(text) => (fingerprint(&text), args.resolve_text(&text)),
        Err(error) => (fingerprint(&error.to_string()), Err(error)),
    }
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
