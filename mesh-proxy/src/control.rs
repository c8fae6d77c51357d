//! The subscription to the console: snapshots come as lines of JSON, each is put
//! in force or refused as a whole, and acknowledged either way.
//!
//! The console never stands in the request path. While it is gone the last
//! snapshot stays in force, chaos rules end by themselves when their time is over,
//! and this keeps knocking, a little more slowly each time.

mod client;
mod lines;
mod report;

use std::{sync::Arc, time::Duration};

use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    config::{Ack, Problem, Registration, SidecarConfig, Snapshot},
    random::Random,
    shared::Shared,
};
use client::{Console, ControlError};
use lines::Lines;

/// Pause before the first reconnect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two reconnects: how late a returning console is found.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Silence after which the stream counts as dead: three missed heartbeats.
const SILENCE: Duration = Duration::from_secs(6);

/// Follows the console for ever. Calls `in_force` whenever a snapshot has been put in force.
pub(crate) async fn follow(
    url: &str,
    config: &SidecarConfig,
    shared: &Arc<Shared>,
    in_force: impl Fn() + Send,
) {
    let Some(console) = Console::at(url) else {
        tracing::error!(%url, "the console's address cannot be used"); // refused by the check before
        return;
    };
    let mut subscriber = Subscriber {
        console,
        config,
        shared,
        in_force,
        failures: 0,
    };
    loop {
        let error = subscriber.subscribe().await;
        emit(&ProcessEvent::ControlConnected(false));
        tracing::info!(%url, %error, "not connected to the console; the last policy stays in force");
        sleep(pause(subscriber.failures, &shared.random)).await;
        subscriber.failures = subscriber.failures.saturating_add(1);
    }
}

/// Doubles with each failure in a row; half of it is random, so that the sidecars
/// of a mesh do not all return to a restarted console at once.
fn pause(failures: u32, random: &Random) -> Duration {
    let bound = FIRST_PAUSE
        .saturating_mul(1 << failures.min(10))
        .min(LONGEST_PAUSE);
    bound.mul_f64(0.5 + random.unit() / 2.0)
}

struct Subscriber<'a, F> {
    console: Console,
    config: &'a SidecarConfig,
    shared: &'a Arc<Shared>,
    in_force: F,
    failures: u32,
}

impl<F: Fn() + Send> Subscriber<'_, F> {
    /// Subscribes and follows the stream until it ends; says why it did.
    async fn subscribe(&mut self) -> ControlError {
        match self.follow_stream().await {
            Ok(()) => ControlError::Ended,
            Err(error) => error,
        }
    }

    async fn follow_stream(&mut self) -> Result<(), ControlError> {
        let registration = self.registration();
        let opening = self.console.post("/control/v1/subscribe", &registration);
        let response = timeout(SILENCE, opening)
            .await
            .map_err(|_| ControlError::Silent(SILENCE))??;
        emit(&ProcessEvent::ControlConnected(true));
        let (console, config, shared) = (self.console.clone(), self.config, self.shared);
        tokio::select! {
            ended = self.read(Lines::of(response.into_body())) => ended,
            // As long as the stream is there: whom it comes from is listened to.
            () = report::keep_posted(&console, config, shared) => Ok(()),
        }
    }

    async fn read(&mut self, mut lines: Lines) -> Result<(), ControlError> {
        let opened = Instant::now();
        loop {
            let line = timeout(SILENCE, lines.next())
                .await
                .map_err(|_| ControlError::Silent(SILENCE))??;
            let Some(line) = line else { return Ok(()) };
            if opened.elapsed() >= LONGEST_PAUSE {
                // Not before: of two sidecars of one name each ends the other's stream
                // right after its first line.
                self.failures = 0;
            }
            if !line.is_empty() {
                self.receive(&line).await?;
            }
        }
    }

    async fn receive(&self, line: &[u8]) -> Result<(), ControlError> {
        let (revision, problems) = match serde_json::from_slice::<Snapshot>(line) {
            Ok(snapshot) => (snapshot.revision, self.apply(snapshot)),
            Err(error) => (revision_of(line), vec![unreadable(&error)]),
        };
        for problem in &problems {
            tracing::warn!(revision, %problem, "the console's snapshot is refused; the old one stays in force");
        }
        let ack = Ack {
            service: self.config.service.clone(),
            instance: self.config.instance.clone(),
            revision,
            problems,
        };
        timeout(SILENCE, self.console.post("/control/v1/ack", &ack))
            .await
            .map_err(|_| ControlError::Silent(SILENCE))??;
        Ok(())
    }

    fn apply(&self, snapshot: Snapshot) -> Vec<Problem> {
        match self.shared.policy.apply(snapshot.revision, snapshot.policy) {
            Ok(()) => {
                (self.in_force)();
                Vec::new()
            }
            Err(problems) => problems,
        }
    }

    fn registration(&self) -> Registration {
        Registration {
            service: self.config.service.clone(),
            instance: self.config.instance.clone(),
            guest: self.config.guest,
            inbound: self.config.inbound.as_ref().map(|inbound| inbound.listen),
            metrics: self.config.metrics,
            admin: self.config.admin,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The revision of a snapshot that cannot be read otherwise; 0 where even that is missing.
fn revision_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value.get("revision")?.as_u64())
        .unwrap_or(0)
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem {
        key: "snapshot".to_owned(),
        message: format!("cannot be read: {error}; console and sidecar should be of one version"),
    }
}
