//! From the mesh file to what one sidecar is told.

use std::collections::BTreeMap;

use mesh_proxy::config::{Cluster, InboundPolicy, Policy, Route, RouteMatch, Rule};

use super::{Instances, MeshFile, RoutePolicy, Service};

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
            routes: caller
                .calls
                .iter()
                .map(|to| self.route(service, to))
                .collect(),
            inbound: InboundPolicy {
                callers: self.callers(service),
                ..inbound(caller)
            },
            chaos: rules.to_vec(),
        }
    }

    /// Services that may call this one: their traffic is told apart, anybody
    /// else's counts as `external`.
    fn callers(&self, service: &str) -> Vec<String> {
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
        let endpoints = self.services.get(to).map(endpoints).unwrap_or_default();
        Cluster {
            budget: self.merged(from, to).budget.unwrap_or_default(),
            ..Cluster::new(endpoints)
        }
    }

    /// The one route of an allowed call, named by the destination.
    fn route(&self, from: &str, to: &str) -> Route {
        let policy = self.merged(from, to);
        let plain = Route::new(to, to);
        Route {
            matches: RouteMatch {
                authority: Some(to.to_owned()),
                ..RouteMatch::default()
            },
            deadline: policy.deadline.unwrap_or(plain.deadline),
            attempt_timeout: policy.attempt_timeout,
            retry: policy.retry,
            max_in_flight: policy.max_in_flight,
            ..plain
        }
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
        let named = |exact: bool| {
            self.routes
                .iter()
                .enumerate()
                .filter(move |(_, edge)| edge.to == to && edge.from.is_some() == exact)
                .filter(|(_, edge)| edge.from.as_deref().is_none_or(|name| name == from))
                .map(|(index, edge)| (format!("routes[{index}].policy"), &edge.policy))
        };
        let mut levels = vec![("defaults".to_owned(), &self.defaults)];
        levels.extend(named(false));
        levels.extend(named(true));
        levels
    }
}

impl RoutePolicy {
    fn overlaid(self, above: &Self) -> Self {
        Self {
            deadline: above.deadline.or(self.deadline),
            attempt_timeout: above.attempt_timeout.or(self.attempt_timeout),
            retry: above.retry.clone().or(self.retry),
            budget: above.budget.clone().or(self.budget),
            max_in_flight: above.max_in_flight.or(self.max_in_flight),
        }
    }

    /// Whether this level says something about a key, as `attempt_timeout`.
    pub(super) fn sets(&self, key: &str) -> bool {
        match key {
            "deadline" => self.deadline.is_some(),
            "attempt_timeout" => self.attempt_timeout.is_some(),
            "retry" => self.retry.is_some(),
            "budget" => self.budget.is_some(),
            "max_in_flight" => self.max_in_flight.is_some(),
            _ => false,
        }
    }
}

fn inbound(service: &Service) -> InboundPolicy {
    InboundPolicy {
        max_in_flight: service.max_in_flight,
        rate_limit: service.rate_limit.clone(),
        edge: service.expose.is_some(),
        ..InboundPolicy::default()
    }
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

    #[test]
    fn a_stranger_gets_no_routes() {
        assert!(shop().policy_for("nobody", &[]).routes.is_empty());
    }
}
