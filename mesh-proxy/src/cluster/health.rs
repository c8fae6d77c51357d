//! Active health checks: a probe of every endpoint, again and again. An endpoint is
//! taken at once and left out when probes have proven it unfit, some in a row; it is
//! taken back when some in a row were answered well.

mod grpc;
mod probe;

use std::{collections::HashMap, sync::Arc, time::Duration};

use mesh_telemetry::proxy::{ProcessEvent, emit};
use tokio::time::{Instant, sleep, timeout};

use super::{Endpoint, Members, tasks::Owned};
use crate::{
    config::{HealthCheck, Protocol},
    random::Random,
};
use probe::ProbeError;

/// How much an interval differs from the next, so that the sidecars of a mesh do not
/// all ask in one moment.
const JITTER: f64 = 0.1;

/// What is known of an endpoint's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Some probe has ended.
    checked: bool,
    /// Probes in a row that failed, and that did not.
    failures: u32,
    successes: u32,
}

impl Health {
    /// Counts a probe; returns whether the endpoint is unhealthy now.
    fn count(&mut self, fine: bool, unhealthy: bool, settings: &HealthCheck) -> bool {
        self.checked = true;
        if fine {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            unhealthy && self.successes < settings.healthy_after
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            unhealthy || self.failures >= settings.unhealthy_after
        }
    }
}

impl Endpoint {
    /// For people: `healthy`, `unhealthy` or `unchecked`.
    #[must_use]
    pub(crate) fn health_name(&self) -> &'static str {
        if self.is_unhealthy() {
            "unhealthy"
        } else if self.with_health(|health| health.checked) {
            "healthy"
        } else {
            "unchecked"
        }
    }
}

/// Checks the members for ever, whoever they are.
pub(super) async fn check(members: Arc<Members>, settings: HealthCheck, protocol: Protocol) {
    let checker = Arc::new(Checker {
        members,
        settings,
        protocol,
        random: Random::from_system(),
    });
    let mut watch = checker.members.watch();
    let mut running = HashMap::new();
    loop {
        watch.borrow_and_update();
        running = checker.follow(running);
        if watch.changed().await.is_err() {
            return;
        }
    }
}

/// Checks under way, by address.
type Running = HashMap<Arc<str>, (Arc<Endpoint>, Owned)>;

struct Checker {
    members: Arc<Members>,
    settings: HealthCheck,
    protocol: Protocol,
    random: Random,
}

impl Checker {
    /// One check for each member: those of the others end.
    fn follow(self: &Arc<Self>, mut running: Running) -> Running {
        let set = self.members.load();
        let endpoints = set.members().iter().map(|member| &member.endpoint);
        endpoints
            .map(|endpoint| {
                let known = running
                    .remove(endpoint.address())
                    .filter(|(known, _)| Arc::ptr_eq(known, endpoint));
                let task = known.unwrap_or_else(|| {
                    let check = Arc::clone(self).ask_again(Arc::clone(endpoint));
                    (Arc::clone(endpoint), Owned::spawn("health_check", check))
                });
                (endpoint.address_handle(), task)
            })
            .collect()
    }

    async fn ask_again(self: Arc<Self>, endpoint: Arc<Endpoint>) {
        // Not all at once, but soon: what is dead from the start should be known.
        sleep(self.settings.interval.mul_f64(JITTER * self.random.unit())).await;
        loop {
            let result = self.ask(&endpoint).await;
            self.learn(&endpoint, &result);
            sleep(self.pause()).await;
        }
    }

    async fn ask(&self, endpoint: &Arc<Endpoint>) -> Result<(), ProbeError> {
        let probe = probe::send(&self.settings.probe, self.protocol, endpoint);
        timeout(self.settings.timeout, probe)
            .await
            .unwrap_or(Err(ProbeError::Timeout))
    }

    fn learn(&self, endpoint: &Arc<Endpoint>, result: &Result<(), ProbeError>) {
        let cluster = self.members.cluster();
        emit(&ProcessEvent::HealthChecked {
            cluster,
            result: result.as_ref().map_or_else(ProbeError::code, |()| "ok"),
        });
        let before = endpoint.is_unhealthy();
        let after =
            endpoint.with_health(|health| health.count(result.is_ok(), before, &self.settings));
        if before == after {
            return;
        }
        match result {
            Ok(()) => {
                tracing::info!(%cluster, endpoint = endpoint.address(), "endpoint is healthy again");
            }
            Err(error) => {
                tracing::warn!(%cluster, endpoint = endpoint.address(), %error, "endpoint is unhealthy");
            }
        }
        endpoint.set_unhealthy(after, Instant::now());
        self.members.refresh();
    }

    fn pause(&self) -> Duration {
        let jitter = 1.0 + JITTER * (2.0 * self.random.unit() - 1.0);
        self.settings.interval.mul_f64(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::Health;
    use crate::config::{HealthCheck, Probe};

    #[test]
    fn some_probes_in_a_row_decide_and_a_single_one_does_not() {
        let settings: HealthCheck =
            serde_saphyr::from_str("{ tcp: true, unhealthy_after: 3, healthy_after: 2 }").unwrap();
        assert_eq!(settings.probe, Probe::Tcp(true));
        let (mut health, mut unhealthy) = (Health::default(), false);
        let mut after = |fine| {
            unhealthy = health.count(fine, unhealthy, &settings);
            unhealthy
        };
        let seen: Vec<bool> = [
            false, false, true, false, false, false, true, false, true, true,
        ]
        .into_iter()
        .map(&mut after)
        .collect();
        let wanted = [
            false, false, false, false, false, true, true, true, true, false,
        ];
        assert_eq!(seen, wanted);
    }
}
