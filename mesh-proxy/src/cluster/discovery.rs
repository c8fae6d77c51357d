//! Endpoints found by name: looked up again whenever the answer has run out. An
//! answer that fails, or has nothing in it, changes nothing: names come back, and an
//! empty set would turn a slip of DNS into an outage.

mod dns;

use std::{sync::Arc, time::Duration};

use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::time::{Instant, sleep};

use super::Members;
use crate::{config::Dns, random::Random};
use dns::{Answer, LookupError, Names};

/// How much shorter than its time an answer may be used, so that the sidecars of a
/// mesh do not all ask in one moment.
const JITTER: f64 = 0.1;

/// An endpoint that discovery or the policy names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// `host:port`.
    pub(super) address: String,
    /// 0 first; the next only while nobody of the one before takes requests.
    pub(super) tier: u16,
    /// Requests it gets, as a share of those of the heaviest of its tier, up to 1.
    pub(super) share: f32,
}

impl Found {
    /// What a policy lists is as good as any.
    pub(super) fn listed(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            tier: 0,
            share: 1.0,
        }
    }
}

/// Follows a name for ever.
pub(super) async fn follow(members: Arc<Members>, settings: Dns) {
    let mut names = Names::of(&settings);
    let random = Random::from_system();
    let mut failures = 0;
    loop {
        let result = match &names {
            Ok(names) => names.look_up(&settings).await,
            Err(error) => Err(error.clone()),
        };
        if matches!(result, Err(LookupError::Failed(_))) {
            names = Names::of(&settings); // the system's servers may be others now
        }
        let pause = learn(&members, &settings, result, &mut failures);
        sleep(pause.mul_f64(1.0 - JITTER * random.unit())).await;
    }
}

/// Takes over an answer; returns how long it holds.
fn learn(
    members: &Arc<Members>,
    settings: &Dns,
    result: Result<Answer, LookupError>,
    failures: &mut u32,
) -> Duration {
    let cluster = members.cluster();
    emit(&ProcessEvent::Discovered {
        cluster,
        result: result.as_ref().map_or_else(LookupError::code, |_| "ok"),
    });
    match result {
        Ok(answer) => {
            *failures = 0;
            members.found(Some(answer.found), Instant::now());
            // Not `clamp`, which panics on bounds in the wrong order.
            answer.ttl.min(settings.max_ttl).max(settings.min_ttl)
        }
        Err(error) => {
            tracing::warn!(%cluster, name = settings.name, %error, "DNS lookup failed; the last good answer stays in force");
            members.found(None, Instant::now());
            let pause = settings.min_ttl.saturating_mul(1 << (*failures).min(10));
            *failures = failures.saturating_add(1);
            pause.min(settings.max_ttl).max(settings.min_ttl)
        }
    }
}
