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

/// What is to be followed: made before the sidecar listens, so that nothing that
/// happens from then on is lost.
pub(crate) struct Followed {
    hangups: std::io::Result<Signal>,
    file: Option<(ProxyArgs, Option<u64>)>,
}

impl Followed {
    /// `SIGHUP` alone; must be called on a tokio runtime.
    pub(crate) fn hangups() -> Self {
        Self {
            hangups: signal(SignalKind::hangup()),
            file: None,
        }
    }

    /// The file of these options, too, and the configuration that it makes now.
    pub(crate) fn of(args: ProxyArgs) -> Result<(Self, SidecarConfig), RunError> {
        let (seen, config) = if args.config.is_some() {
            let text = args.read()?;
            (Some(fingerprint(&text)), args.resolve_text(&text)?)
        } else {
            (None, args.resolve()?)
        };
        let file = Some((args, seen));
        Ok((
            Self {
                file,
                ..Self::hangups()
            },
            config,
        ))
    }
}

/// Follows the file, if there is one, and `SIGHUP`, for ever.
pub(crate) async fn follow(sidecar: &Sidecar, followed: Followed) {
    let mut hangups = followed
        .hangups
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for"))
        .ok();
    let mut file = followed.file.and_then(|(args, seen)| File::of(args, seen));
    if let Some(file) = &mut file {
        // It may have changed since it was read for the start, before it was watched.
        file.reload(sidecar).await;
    }
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
    fn of(args: ProxyArgs, seen: Option<u64>) -> Option<Self> {
        let path = args.config.clone()?;
        Some(Self {
            name: path.display().to_string(),
            watch: Watch::of(path),
            seen,
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

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use mesh_telemetry::{Readiness, proxy::Sink};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::{Followed, ProxyArgs, follow};
    use crate::Sidecar;

    const FILE: &str = "
service: orders
instance: orders-1
outbound: { listen: 127.0.0.1:0 }
admin: 127.0.0.1:0
metrics: 127.0.0.1:0
";

    async fn asked(sidecar: &Sidecar) -> String {
        let mut stream = TcpStream::connect(sidecar.admin_address()).await.unwrap();
        let question = b"GET /config HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(question).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_change_while_the_sidecar_starts_is_put_in_force() {
        let path = std::env::temp_dir().join(format!("mesh-start-{}.yaml", std::process::id()));
        fs::write(&path, FILE).unwrap();
        let args = ProxyArgs {
            config: Some(path.clone()),
            ..ProxyArgs::default()
        };
        let (followed, config) = Followed::of(args).unwrap();
        fs::write(
            &path,
            FILE.to_owned() + "policy: { clusters: { second: { endpoints: [127.0.0.1:9] } } }\n",
        )
        .unwrap();
        let sidecar = Sidecar::start(config, Sink::disconnected(), Readiness::default()).unwrap();
        let in_force = async { while !asked(&sidecar).await.contains("\"second\"") {} };
        tokio::select! {
            () = in_force => {}
            () = follow(&sidecar, followed) => {}
            () = tokio::time::sleep(Duration::from_mins(1)) => panic!("it is not in force"),
        }
        sidecar.drain().await;
        fs::remove_file(path).unwrap();
    }
}
