//! What all parts of the console share, and the pictures made of it.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Addresses,
    activity::ActivityLog,
    api::{ChaosState, InstanceState, Overview, RuleState, ServiceState},
    chaos::{Chaos, times},
    clock::Clock,
    edges::{Edges, Target},
    mesh_file::{Instances, MeshFile, Service},
    names::EXTERNAL,
    receipts::Receipts,
    registry::{Registry, Sidecar},
    roster::Roster,
    tap::Tap,
    traces::TraceStore,
};

pub(crate) struct Shared {
    pub(crate) roster: Roster,
    pub(crate) clock: Clock,
    pub(crate) activity: Arc<ActivityLog>,
    pub(crate) chaos: Chaos,
    pub(crate) registry: Arc<Registry>,
    pub(crate) receipts: Receipts,
    pub(crate) traces: Arc<TraceStore>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) edges: Edges,
    /// Numbers of the last second.
    pub(crate) overview: watch::Sender<Arc<Overview>>,
    pub(crate) shop_url: Option<String>,
    pub(crate) addresses: Addresses,
    /// Ends streams that would never end by themselves.
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    pub(crate) fn overview(&self) -> Overview {
        let sidecars = self.registry.list();
        let mesh = self.roster.mesh();
        let mut services: Vec<ServiceState> = mesh
            .services
            .iter()
            .map(|(name, service)| ServiceState {
                name: name.clone(),
                exposed: service.expose.is_some(),
                instances: self.instances(name, service, &sidecars),
                inbound: self.edges.inbound(name),
            })
            .collect();
        services.sort_by_key(|service| !service.exposed);
        Overview {
            mesh: mesh.mesh.clone(),
            revision: self.chaos.current().revision,
            at_ms: self.clock.now_ms(),
            services,
            // What guests may do is shown once they do it.
            edges: self.edges.edges(allowed(self.roster.file())),
            store: self.traces.state(),
            shop_url: self.shop_url.clone(),
            otlp_grpc: self.addresses.otlp_grpc.port(),
            otlp_http: self.addresses.otlp_http.port(),
        }
    }

    /// Instances of the mesh file, and those that came by themselves.
    fn instances(&self, name: &str, service: &Service, sidecars: &Sidecars) -> Vec<InstanceState> {
        let listed = match &service.instances {
            Instances::Count(_) => Vec::new(),
            Instances::Listed(listed) => listed.iter().map(|one| one.name.clone()).collect(),
        };
        let came = sidecars
            .keys()
            .filter(|(service, _)| service == name)
            .map(|(_, instance)| instance.clone());
        let all: BTreeSet<String> = listed.into_iter().chain(came).collect();
        all.into_iter()
            .map(|instance| self.instance((name.to_owned(), instance), sidecars))
            .collect()
    }

    fn instance(&self, key: (String, String), sidecars: &Sidecars) -> InstanceState {
        let sidecar = sidecars.get(&key);
        InstanceState {
            connected: sidecar.is_some_and(|one| one.connected),
            revision: sidecar.and_then(|one| one.acknowledged),
            problems: sidecar.map(|one| one.problems.clone()).unwrap_or_default(),
            rps: self.edges.instance_rps(&key),
            name: key.1,
        }
    }

    pub(crate) fn chaos_state(&self) -> ChaosState {
        let published = self.chaos.current();
        let sidecars = self.registry.list();
        let connected = || sidecars.iter().filter(|(_, sidecar)| sidecar.connected);
        let holds = |service: &str, sidecar: &Sidecar| {
            let wanted = published.of(service).map(|compiled| compiled.revision);
            sidecar.acknowledged >= wanted
        };
        let injected = self.edges.injected();
        let now = self.clock.now_ms();
        let stage = &published.stage;
        let shown = published.rules.iter().filter(|rule| !stage.hides(&rule.id));
        let rules = shown.map(|rule| RuleState {
            expires_in_ms: rule
                .expires_at_ms
                .filter(|_| rule.enabled)
                .map(|end| end.saturating_sub(now)),
            injected: injected.get(&rule.id).copied().unwrap_or(0),
            rule: rule.clone(),
            receipt: self.receipts.of(rule, &sidecars),
            percent_now: times::percent_now(rule, now),
            scenario: stage.owner(&rule.id).map(|running| running.id.clone()),
        });
        ChaosState {
            revision: published.revision,
            acknowledged: connected()
                .filter(|((service, _), sidecar)| holds(service, sidecar))
                .count(),
            sidecars: connected().count(),
            halted: connected()
                .filter(|(_, sidecar)| sidecar.is_halted())
                .map(|((_, instance), _)| instance.clone())
                .collect(),
            rules: rules.collect(),
        }
    }

    /// Whether the mesh file allows this edge.
    pub(crate) fn is_edge(&self, source: &str, destination: &str) -> bool {
        let edge = (source.to_owned(), destination.to_owned());
        allowed(&self.roster.mesh()).contains(&edge)
    }

    /// Pages of the sidecars that are there now.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let sidecars = self.registry.list().into_iter();
        sidecars
            .filter(|(_, sidecar)| sidecar.connected)
            .map(|(key, sidecar)| Target {
                key,
                pid: sidecar.pid,
                metrics: sidecar.metrics,
            })
            .collect()
    }
}

type Sidecars = std::collections::BTreeMap<crate::registry::Key, Sidecar>;

/// Edges that are allowed, those into the mesh among them.
fn allowed(mesh: &MeshFile) -> BTreeSet<(String, String)> {
    let services = mesh.services.iter();
    services
        .flat_map(|(name, service)| {
            let entry = service.expose.map(|_| (EXTERNAL.to_owned(), name.clone()));
            let calls = service.calls.iter().map(|to| (name.clone(), to.clone()));
            calls.chain(entry)
        })
        .collect()
}
