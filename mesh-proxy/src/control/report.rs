//! Tells the console what the chaos rules in force here met.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::client::Console;
use crate::{
    config::{Report, SidecarConfig},
    policy::Snapshot,
    shared::Shared,
};

/// Pause between two reports of which the second says something new.
const PAUSE: Duration = Duration::from_secs(1);

/// Time for the console to take a report.
const PATIENCE: Duration = Duration::from_secs(5);

/// Posts a report at once and after each change of what is in force; in between each
/// second, while its numbers change. Never ends.
///
/// A report that is lost is no loss: the next one has the same totals and more.
pub(super) async fn keep_posted(console: &Console, config: &SidecarConfig, shared: &Arc<Shared>) {
    let mut changes = shared.policy.watch();
    let mut sent = None;
    loop {
        let report = of(config, &shared.policy.load());
        if sent.as_ref() != Some(&report) {
            let posting = console.post("/control/v1/report", &report);
            let failure = match timeout(PATIENCE, posting).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {PATIENCE:?}")),
            };
            if let Some(error) = &failure {
                tracing::debug!(%error, "the console did not take what chaos rules met");
            }
            sent = failure.is_none().then_some(report);
        }
        tokio::select! {
            // There is a change no more only when the sidecar is no more.
            _ = changes.changed() => {}
            () = sleep(PAUSE) => {}
        }
    }
}

fn of(config: &SidecarConfig, policy: &Snapshot) -> Report {
    let now = Instant::now();
    let rules = policy.rules_here().filter(|rule| rule.left(now).is_some());
    Report {
        service: config.service.clone(),
        instance: config.instance.clone(),
        revision: policy.revision,
        halted: policy.halted,
        rules: rules
            .map(|armed| armed.receipt().report(armed.rule()))
            .collect(),
    }
}
