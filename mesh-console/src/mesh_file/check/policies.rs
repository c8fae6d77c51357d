//! The check that a sidecar makes, made here first, with its findings traced
//! back to the keys of the mesh file.

use std::collections::BTreeSet;

use mesh_proxy::config;

use super::Found;
use crate::mesh_file::{MeshFile, Service};

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
    fn source_key(&self, name: &str, service: &Service, key: &str) -> String {
        if let Some(rest) = key.strip_prefix("inbound.") {
            return format!("services.{name}.{rest}");
        }
        if let Some((to, rest)) = route_key(service, key).or_else(|| cluster_key(service, key)) {
            return self.level_key(name, to, rest);
        }
        format!("services.{name}")
    }

    /// Path of the strongest level that sets a key of an edge's policy.
    fn level_key(&self, from: &str, to: &str, key: &str) -> String {
        let first = key.split(['.', '[']).next().unwrap_or(key);
        let levels = self.levels(from, to);
        let strongest = levels.iter().rev().find(|(_, level)| level.sets(first));
        match strongest {
            Some((path, _)) => format!("{path}.{key}"),
            None if first == "endpoints" => format!("services.{to}.instances"),
            None => format!("defaults.{key}"),
        }
    }
}

/// Destination and own key of `routes[2].retry.attempts`.
fn route_key<'a>(service: &'a Service, key: &'a str) -> Option<(&'a str, &'a str)> {
    let (index, rest) = key.strip_prefix("routes[")?.split_once(']')?;
    let to = service.calls.get(index.parse::<usize>().ok()?)?;
    Some((to, rest.trim_start_matches('.')))
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
