//! `SIGUSR1`: the way to end all faults of a sidecar that needs nothing but a shell,
//! least of all a console.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Sidecar;

/// The signals that ask for a halt. Made before anything else: a signal that nobody
/// listens for would end the process.
pub(crate) struct Halts(std::io::Result<Signal>);

impl Halts {
    /// Must be called on a tokio runtime.
    pub(crate) fn listen() -> Self {
        Self(signal(SignalKind::user_defined1()))
    }

    /// Halts at each signal, for ever.
    pub(crate) async fn obey(self, sidecar: &Sidecar) {
        let Ok(mut signals) = self
            .0
            .inspect_err(|error| tracing::warn!(%error, "SIGUSR1 cannot be listened for"))
        else {
            return std::future::pending().await;
        };
        while signals.recv().await.is_some() {
            let halted = sidecar.halt_chaos();
            tracing::warn!(
                halted,
                "SIGUSR1: all chaos rules are off at this sidecar until they change"
            );
        }
        std::future::pending::<()>().await;
    }
}
