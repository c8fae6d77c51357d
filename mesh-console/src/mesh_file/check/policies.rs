//! The check that a sidecar makes, made here first, with its findings traced
//! back to the keys of the mesh file.

use std::collections::BTreeSet;

use mesh_proxy::config;

use super::Found;
use crate::mesh_file::{EdgePolicy, MeshFile, RoutePolicy, Service};

impl MeshFile {
    /// The file without calls that were named as wrong already.
    pub(super) fn with_known_calls(&self) -> Self {
        let mut mesh = self.clone();
        for (name, service) in &mut mesh.services {
            let mut seen = BTreeSet::new();
            service.calls.retain(|to| {
                self.services.contains_key(to) && to != name && seen.insert(to.clone())
            });
        }
        mesh
    }

    /// Compiles every sidecar's policy and lets the sidecar's own check read it,
    /// so that the console never sends what a sidecar would refuse.
    pub(super) fn check_policies(&self, found: &mut Found) {
        for (name, service) in &self.services {
            for problem in config::check(&self.policy_for(name, &[])) {
                let key = self.source_key(name, service, &problem.key);
                if !found.has_below(&key) {
                    found.add(&key, problem.message);
                }
            }
        }
    }

    /// Key of the mesh file behind a key of a compiled policy.
    pub(super) fn source_key(&self, name: &str, service: &Service, key: &str) -> String {
        if let Some(rest) = key.strip_prefix("inbound.") {
            return inbound_key(name, service, rest);
        }
        let route = || self.route_key(name, service, key);
        let cluster = || {
            let (to, rest) = cluster_key(service, key)?;
            Some(self.cluster_level_key(name, to, rest))
        };
        route()
            .or_else(cluster)
            .unwrap_or_else(|| format!("services.{name}"))
    }

    /// Key behind `routes[2].retry.attempts`.
    fn route_key(&self, from: &str, service: &Service, key: &str) -> Option<String> {
        let (index, rest) = key.strip_prefix("routes[")?.split_once(']')?;
        let origins = self.origins(from, service);
        let origin = origins.get(index.parse::<usize>().ok()?)?;
        let rest = rest.trim_start_matches('.');
        let first = first_of(rest);
        let strongest = self.strongest(from, origin.to, |level| level.route.sets(first));
        Some(match (&origin.explicit, strongest) {
            // What nobody says is missing where the route is written.
            (Some((path, own)), level) if own.sets(first) || level.is_none() => joined(path, rest),
            (_, Some(path)) => format!("{path}.{rest}"),
            (_, None) if ["", "name", "match", "cluster"].contains(&first) => {
                let place = service.calls.iter().position(|to| to == origin.to)?;
                format!("services.{from}.calls[{place}]")
            }
            (_, None) => format!("defaults.{rest}"),
        })
    }

    /// Path of the level behind a key of a cluster.
    fn cluster_level_key(&self, from: &str, to: &str, key: &str) -> String {
        match first_of(key) {
            "" | "endpoints" => format!("services.{to}.instances"),
            "dns" => format!("services.{to}.{key}"),
            "budget" => {
                let path = self.strongest(from, to, |level| level.budget.is_some());
                format!("{}.{key}", path.as_deref().unwrap_or("defaults"))
            }
            first => {
                let path = self.strongest(from, to, |level| level.cluster.sets(first));
                format!("{}.cluster.{key}", path.as_deref().unwrap_or("defaults"))
            }
        }
    }

    /// Path of the strongest level that says something.
    fn strongest(
        &self,
        from: &str,
        to: &str,
        says: impl Fn(&RoutePolicy) -> bool,
    ) -> Option<String> {
        let levels = self.levels(from, to).into_iter().rev();
        levels
            .into_iter()
            .find(|(_, level)| says(level))
            .map(|(path, _)| path)
    }

    /// Settings that are made in another place of the file.
    pub(super) fn check_places(&self, found: &mut Found) {
        check_level("defaults", &self.defaults, found);
        check_edges("", &self.routes, found);
    }
}

/// Settings of edges that are made in another place, and routes without a name.
pub(super) fn check_edges(prefix: &str, edges: &[EdgePolicy], found: &mut Found) {
    for (index, edge) in edges.iter().enumerate() {
        check_level(
            &format!("{prefix}routes[{index}].policy"),
            &edge.policy,
            found,
        );
        for (number, route) in edge.routes.iter().enumerate() {
            if !route.sets("name") {
                let key = format!("{prefix}routes[{index}].routes[{number}].name");
                found.add(&key, "the route has no name; write one, as `canary`");
            }
        }
    }
}

fn check_level(path: &str, level: &RoutePolicy, found: &mut Found) {
    for key in ["name", "match", "split", "redirect", "respond"] {
        if level.route.sets(key) {
            let message = "this is of single routes; write it under `routes` of an edge";
            found.add(&format!("{path}.{key}"), message);
        }
    }
    for (key, message) in [
        (
            "endpoints",
            "they are the service's `instances`; write them there",
        ),
        ("dns", "write it as `dns` of the service"),
        ("budget", "write it beside `cluster`"),
    ] {
        if level.cluster.sets(key) {
            found.add(&format!("{path}.cluster.{key}"), message);
        }
    }
}

fn inbound_key(name: &str, service: &Service, key: &str) -> String {
    let short = match first_of(key) {
        "max_in_flight" => service.max_in_flight.is_some(),
        "rate_limit" => service.rate_limit.is_some(),
        _ => false,
    };
    let inbound = if short { "" } else { "inbound." };
    format!("services.{name}.{inbound}{key}")
}

fn first_of(key: &str) -> &str {
    key.split(['.', '[']).next().unwrap_or(key)
}

fn joined(path: &str, key: &str) -> String {
    if key.is_empty() {
        path.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Destination and own key of `clusters.payments.budget.share`.
fn cluster_key<'a>(service: &'a Service, key: &'a str) -> Option<(&'a str, &'a str)> {
    let key = key.strip_prefix("clusters.")?;
    let to = service
        .calls
        .iter()
        .filter(|to| key.starts_with(to.as_str()))
        .max_by_key(|to| to.len())?;
    Some((to, key[to.len()..].trim_start_matches('.')))
}
