//! From the mesh file to what one sidecar is told.

use std::collections::BTreeMap;

use mesh_proxy::config::{Cluster, InboundPolicy, Policy, Route, Rule};

use super::{EdgePolicy, Instances, MeshFile, Part, RoutePolicy, Service};

/// Settings of a route that gives the answer itself, or says better where it comes from.
const ELSEWHERE: [&str; 3] = ["split", "redirect", "respond"];

/// Where a compiled route comes from.
pub(super) struct Origin<'a> {
    /// The called.
    pub(super) to: &'a str,
    /// Path of the key and the settings of a route of an edge; none: the one of all
    /// other calls.
    pub(super) explicit: Option<(String, &'a Part<Route>)>,
}

impl MeshFile {
    /// Policy of the sidecars of `service`, with the chaos rules of the whole mesh.
    /// A name that is no service gets a policy that routes nothing.
    ///
    /// Instances must be listed: see [`MeshFile::resolve`].
    #[must_use]
    pub fn policy_for(&self, service: &str, rules: &[Rule]) -> Policy {
        let Some(caller) = self.services.get(service) else {
            return Policy::default();
        };
        Policy {
            clusters: self.clusters(service, caller),
            routes: self
                .origins(service, caller)
                .iter()
                .map(|origin| self.route(service, origin))
                .collect(),
            inbound: inbound(caller, self.callers(service)),
            chaos: rules.to_vec(),
        }
    }

    /// Where the routes of a service come from, in their order.
    pub(super) fn origins<'a>(&'a self, from: &str, caller: &'a Service) -> Vec<Origin<'a>> {
        let mut origins = Vec::new();
        for to in &caller.calls {
            for exact in [true, false] {
                for (index, edge) in self.edges(from, to, exact) {
                    origins.extend(edge.routes.iter().enumerate().map(|(number, route)| {
                        let path = format!("routes[{index}].routes[{number}]");
                        let explicit = Some((path, route));
                        Origin { to, explicit }
                    }));
                }
            }
            origins.push(Origin { to, explicit: None });
        }
        origins
    }

    /// Services that may call this one: their traffic is told apart, anybody
    /// else's counts as `external`.
    pub(super) fn callers(&self, service: &str) -> Vec<String> {
        self.services
            .iter()
            .filter(|(_, caller)| caller.calls.iter().any(|called| called == service))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn clusters(&self, from: &str, caller: &Service) -> BTreeMap<String, Cluster> {
        caller
            .calls
            .iter()
            .map(|to| (to.clone(), self.cluster(from, to)))
            .collect()
    }

    fn cluster(&self, from: &str, to: &str) -> Cluster {
        let policy = self.merged(from, to);
        let called = self.services.get(to);
        let endpoints = called.map(endpoints).unwrap_or_default();
        Cluster {
            budget: policy.budget.unwrap_or_default(),
            dns: called.and_then(|called| called.dns.clone()),
            ..policy.cluster.over(Cluster::new(endpoints))
        }
    }

    /// A route of an allowed call. The one of all calls is named by the destination.
    fn route(&self, from: &str, origin: &Origin<'_>) -> Route {
        let to = origin.to;
        let plain = Route::new(to, to);
        let mut route = match &origin.explicit {
            None => self.merged(from, to).route.over(plain),
            Some((_, own)) if own.sets("redirect") || own.sets("respond") => {
                let cluster = None; // nothing is called: no policy of calls applies
                own.over(Route { cluster, ..plain })
            }
            Some((_, own)) => {
                let mut below = self.merged(from, to).route.over(plain);
                below.cluster = below
                    .cluster
                    .filter(|_| !ELSEWHERE.iter().any(|key| own.sets(key)));
                own.over(below)
            }
        };
        let authority = &mut route.matches.authority;
        authority.get_or_insert_with(|| to.to_owned());
        route
    }

    fn merged(&self, from: &str, to: &str) -> RoutePolicy {
        self.levels(from, to)
            .into_iter()
            .fold(RoutePolicy::default(), |below, (_, above)| {
                below.overlaid(above)
            })
    }

    /// Policies that apply to an edge with their key paths, the strongest last:
    /// the defaults, routes to the destination, routes of exactly this edge.
    pub(super) fn levels(&self, from: &str, to: &str) -> Vec<(String, &RoutePolicy)> {
        let mut levels = vec![("defaults".to_owned(), &self.defaults)];
        for exact in [false, true] {
            let named = self.edges(from, to, exact);
            levels.extend(
                named.map(|(index, edge)| (format!("routes[{index}].policy"), &edge.policy)),
            );
        }
        levels
    }

    /// Edges of the file that apply to a call: of exactly this caller, or of all.
    fn edges(
        &self,
        from: &str,
        to: &str,
        exact: bool,
    ) -> impl Iterator<Item = (usize, &EdgePolicy)> {
        let concerns =
            move |edge: &EdgePolicy| edge.to == to && edge.from.as_deref() == exact.then_some(from);
        let edges = self.routes.iter().enumerate();
        edges.filter(move |(_, edge)| concerns(edge))
    }
}

impl RoutePolicy {
    pub(super) fn overlaid(self, above: &Self) -> Self {
        Self {
            budget: above.budget.clone().or(self.budget),
            cluster: self.cluster.overlaid(&above.cluster),
            route: self.route.overlaid(&above.route),
        }
    }
}

fn inbound(service: &Service, callers: Vec<String>) -> InboundPolicy {
    let mut inbound = service.inbound.clone();
    inbound.max_in_flight = service.max_in_flight.or(inbound.max_in_flight);
    inbound.rate_limit = service.rate_limit.clone().or(inbound.rate_limit);
    inbound.edge |= service.expose.is_some();
    inbound.callers.extend(callers);
    inbound.callers.sort_unstable();
    inbound.callers.dedup();
    inbound
}

fn endpoints(service: &Service) -> Vec<String> {
    match &service.instances {
        Instances::Count(_) => Vec::new(),
        Instances::Listed(listed) => listed
            .iter()
            .map(|instance| instance.inbound.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_proxy::config;

    use super::MeshFile;

    fn shop() -> MeshFile {
        MeshFile::parse(include_str!("../../../mesh.yaml"))
            .unwrap()
            .resolve()
            .unwrap()
    }

    #[test]
    fn every_sidecar_of_the_shop_gets_a_policy_that_its_check_accepts() {
        let mesh = shop();
        for name in mesh.services.keys() {
            let policy = mesh.policy_for(name, &mesh.chaos);
            assert_eq!(config::check(&policy), [], "{name}");
            assert_eq!(policy.chaos.len(), mesh.chaos.len());
        }
    }

    #[test]
    fn routes_take_the_strongest_level_that_says_something() {
        let mesh = shop();
        let gateway = mesh.policy_for("gateway", &[]);
        let orders = gateway.routes.iter().find(|r| r.name == "orders").unwrap();
        assert_eq!(orders.deadline, Duration::from_secs(5));
        assert_eq!(orders.retry.as_ref().unwrap().attempts, 1);
        let users = gateway.routes.iter().find(|r| r.name == "users").unwrap();
        assert_eq!(users.attempt_timeout, Some(Duration::from_millis(750)));
        assert!(gateway.inbound.edge);
        assert_eq!(gateway.clusters["payments"].endpoints.len(), 2);
    }

    #[test]
    fn exact_edges_win_over_edges_to_a_service_whatever_their_order() {
        let mesh = MeshFile::parse(
            "mesh: m
services: { a: { calls: [b] }, b: {}, c: { calls: [b] } }
routes:
  - { from: a, to: b, policy: { deadline: 1s } }
  - { to: b, policy: { deadline: 3s, max_in_flight: 7 } }",
        )
        .unwrap();
        let of = |name: &str| mesh.policy_for(name, &[]).routes.remove(0);
        assert_eq!(of("a").deadline, Duration::from_secs(1));
        assert_eq!(of("a").max_in_flight, Some(7));
        assert_eq!(of("c").deadline, Duration::from_secs(3));
    }

    const CANARY: &str = "mesh: m
services:
  web: { calls: [pay, pay-next] }
  app: { calls: [pay] }
  pay: { inbound: { max_body: 1MiB, protocol: http2 }, max_in_flight: 9 }
  pay-next: {}
defaults: { deadline: 3s, cluster: { balance: least-request } }
routes:
  - to: pay
    policy: { idle_timeout: 5s, hedge: { after: 20ms }, cluster: { health_check: { http: /health }, consecutive_failures: 3 } }
    routes:
      - { name: gone, match: { path_prefix: /v0 }, respond: { status: 410 } }
  - from: web
    to: pay
    policy: { cluster: { balance: round-robin } }
    routes:
      - { name: canary, match: { path_prefix: /charges }, split: { clusters: { pay: 90, pay-next: 10 } }, attempt_timeout: 1s }
";

    #[test]
    fn every_setting_of_mesh_proxy_can_be_made_in_the_mesh_file() {
        let mesh = MeshFile::parse(CANARY).unwrap();
        assert_eq!(mesh.check(), []);
        let mesh = mesh.resolve().unwrap();
        let web = mesh.policy_for("web", &[]);
        let names: Vec<&str> = web.routes.iter().map(|route| route.name.as_str()).collect();
        assert_eq!(
            names,
            ["canary", "gone", "pay", "pay-next"],
            "the most exact first"
        );
        let canary = &web.routes[0];
        assert_eq!(canary.matches.authority.as_deref(), Some("pay"));
        assert_eq!(canary.cluster, None);
        assert_eq!(canary.split.as_ref().unwrap().clusters["pay-next"], 10);
        assert_eq!(canary.deadline, Duration::from_secs(3), "of the defaults");
        assert_eq!(
            canary.idle_timeout,
            Some(Duration::from_secs(5)),
            "of the edge"
        );
        assert_eq!(
            canary.attempt_timeout,
            Some(Duration::from_secs(1)),
            "its own"
        );
        assert_eq!(web.routes[1].hedge, None, "nobody is called");
        assert_eq!(web.clusters["pay"].balance, config::Balance::RoundRobin);
        assert_eq!(web.clusters["pay"].consecutive_failures, 3);
        let app = mesh.policy_for("app", &[]);
        assert_eq!(app.clusters["pay"].balance, config::Balance::LeastRequest);
        assert_eq!(app.routes.len(), 2);
        let inbound = mesh.policy_for("pay", &[]).inbound;
        assert_eq!(inbound.max_body, Some(1 << 20));
        assert_eq!(inbound.protocol, config::Protocol::Http2);
        assert_eq!(inbound.max_in_flight, Some(9));
        assert_eq!(inbound.callers, ["app", "web"]);
    }

    #[test]
    fn a_resolved_file_that_is_written_and_read_again_says_the_same() {
        for text in [CANARY, include_str!("../../../mesh.yaml")] {
            let mesh = MeshFile::parse(text).unwrap().resolve().unwrap();
            let again = MeshFile::parse(&serde_saphyr::to_string(&mesh).unwrap()).unwrap();
            for name in mesh.services.keys() {
                let policy = |mesh: &MeshFile| mesh.policy_for(name, &mesh.chaos);
                assert_eq!(policy(&mesh), policy(&again), "{name}");
            }
        }
    }

    #[test]
    fn a_stranger_gets_no_routes() {
        assert!(shop().policy_for("nobody", &[]).routes.is_empty());
    }
}
