//! Everything that is wrong with a mesh file, found in one go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use mesh_proxy::config::{self, Problem};

use super::{Instance, Instances, MeshFile, Service};

/// Longest name of a service or an instance: a DNS label.
const LONGEST_NAME: usize = 63;

/// Names with a meaning of their own: in labels (`external`, `unknown`) and on
/// every machine (`localhost`).
const RESERVED: [&str; 3] = ["external", "unknown", "localhost"];

/// Most requests a second that the built-in load is asked for; more is a slip.
const MOST_RPS: f64 = 100_000.0;

impl MeshFile {
    /// Everything that is wrong with the file; empty: nothing.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Found::default();
        self.check_head(&mut found);
        self.check_services(&mut found);
        self.check_instance_names(&mut found);
        self.check_routes(&mut found);
        self.check_chaos(&mut found);
        match self.with_known_calls().resolve() {
            Ok(resolved) => {
                resolved.check_listeners(&mut found);
                resolved.check_policies(&mut found);
            }
            Err(error) => found.add("ports.internal", error.to_string()),
        }
        found.problems
    }

    fn check_head(&self, found: &mut Found) {
        if self.mesh.trim().is_empty() {
            found.add("mesh", "the mesh has no name; write one, as `shop`");
        }
        if self.services.is_empty() {
            found.add("services", "there are none; a mesh has at least one");
        }
        let ratio = self.telemetry.sample_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            found.add(
                "telemetry.sample_ratio",
                format!("{ratio} is no share; write a number from 0 to 1"),
            );
        }
        let rps = self.load.rps;
        if !(0.0..=MOST_RPS).contains(&rps) {
            found.add(
                "load.rps",
                format!("{rps} is no rate; write requests a second from 0 to {MOST_RPS}"),
            );
        }
    }

    fn check_services(&self, found: &mut Found) {
        for (name, service) in &self.services {
            let key = format!("services.{name}");
            if let Some(message) = bad_name(name) {
                found.add(&key, message);
            }
            self.check_calls(&key, name, service, found);
            check_instances(&key, service, found);
        }
    }

    fn check_calls(&self, key: &str, name: &str, service: &Service, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, to) in service.calls.iter().enumerate() {
            let key = format!("{key}.calls[{index}]");
            if to == name {
                found.add(&key, format!("`{name}` calls itself; remove it"));
            } else if !self.services.contains_key(to) {
                found.add(&key, self.unknown_service(to));
            } else if !seen.insert(to) {
                found.add(&key, format!("`{to}` is named twice; remove one"));
            }
        }
    }

    fn check_instance_names(&self, found: &mut Found) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for (name, service) in &self.services {
            let Instances::Listed(listed) = &service.instances else {
                continue;
            };
            for (index, instance) in listed.iter().enumerate() {
                let key = format!("services.{name}.instances[{index}].name");
                if let Some(first) = seen.get(instance.name.as_str()) {
                    let taken = format!("`{}` is also {first}; names are unique", instance.name);
                    found.add(&key, taken);
                } else {
                    seen.insert(&instance.name, key);
                }
            }
        }
    }

    fn check_routes(&self, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, edge) in self.routes.iter().enumerate() {
            let key = format!("routes[{index}]");
            let from = edge.from.as_ref();
            for (part, name) in [("from", from), ("to", Some(&edge.to))] {
                if let Some(name) = name.filter(|name| !self.services.contains_key(*name)) {
                    found.add(&format!("{key}.{part}"), self.unknown_service(name));
                }
            }
            if let Some(from) = from.filter(|from| self.services.contains_key(*from))
                && self.services.contains_key(&edge.to)
                && !self.may_call(from, &edge.to)
            {
                let message = format!(
                    "`{from}` does not call `{to}`; add `{to}` to services.{from}.calls or remove the route",
                    to = edge.to
                );
                found.add(&key, message);
            }
            if !seen.insert((from, &edge.to)) {
                found.add(&key, "this edge has a policy above; merge the two");
            }
        }
    }

    fn check_chaos(&self, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, rule) in self.chaos.iter().enumerate() {
            let key = format!("chaos[{index}]");
            if !seen.insert(&rule.id) {
                let message = format!("`{}` is taken by a rule above; ids are unique", rule.id);
                found.add(&format!("{key}.id"), message);
            }
            for problem in self.check_rule(rule) {
                let key = match problem.key.as_str() {
                    "" => key.clone(),
                    own => format!("{key}.{own}"),
                };
                found.add(&key, problem.message);
            }
        }
    }

    fn check_listeners(&self, found: &mut Found) {
        let mut seen: BTreeMap<SocketAddr, String> = BTreeMap::new();
        for listener in self.listeners() {
            if let Some(first) = seen.get(&listener.addr) {
                let message = format!(
                    "{} would listen on {}, which is taken by {first}; choose another port",
                    listener.purpose, listener.addr
                );
                found.add(&listener.setting, message);
            } else {
                let owner = format!("{} ({})", listener.purpose, listener.setting);
                seen.insert(listener.addr, owner);
            }
        }
    }

    /// The file without calls that were named as wrong already.
    fn with_known_calls(&self) -> Self {
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
    fn check_policies(&self, found: &mut Found) {
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

fn check_instances(key: &str, service: &Service, found: &mut Found) {
    let count = match &service.instances {
        Instances::Count(count) => usize::from(*count),
        Instances::Listed(listed) => {
            for (index, instance) in listed.iter().enumerate() {
                check_instance(&format!("{key}.instances[{index}]"), instance, found);
            }
            listed.len()
        }
    };
    if count == 0 {
        let message = "there is none; a service has at least one instance";
        found.add(&format!("{key}.instances"), message);
    }
    let local = match &service.instances {
        Instances::Count(_) => true,
        Instances::Listed(listed) => listed.iter().any(|instance| instance.local.is_some()),
    };
    if service.expose.is_some() && count > 1 && local {
        let message = format!(
            "{count} instances cannot share one port; give the exposed service one instance"
        );
        found.add(&format!("{key}.expose"), message);
    }
}

fn check_instance(key: &str, instance: &Instance, found: &mut Found) {
    if let Some(message) = bad_name(&instance.name) {
        found.add(&format!("{key}.name"), message);
    }
    let fine = instance
        .inbound
        .rsplit_once(':')
        .is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    if !fine {
        let message = format!(
            "`{}` is no address; write `host:port`, as `payments:14001`",
            instance.inbound
        );
        found.add(&format!("{key}.inbound"), message);
    }
}

/// What is wrong with a name of a service or an instance, which is a host name
/// and a label value, too.
fn bad_name(name: &str) -> Option<String> {
    let first_and_last = |wanted: fn(&char) -> bool| {
        name.chars().next().is_some_and(|c| wanted(&c))
            && name.chars().last().is_some_and(|c| wanted(&c))
    };
    let fine = name.len() <= LONGEST_NAME
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && first_and_last(|c| *c != '-');
    if !fine {
        return Some(format!(
            "`{name}` is no name; use up to {LONGEST_NAME} lower-case letters, digits and `-` inside"
        ));
    }
    RESERVED
        .contains(&name)
        .then(|| format!("`{name}` has a meaning of its own here; choose another name"))
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
}

impl Found {
    /// Adds a problem; the same one twice says nothing new.
    fn add(&mut self, key: &str, message: impl Into<String>) {
        let problem = Problem {
            key: key.to_owned(),
            message: message.into(),
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Something under this key, or of this key, has been named already.
    fn has_below(&self, key: &str) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.key.starts_with(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let problems = MeshFile::parse(text).unwrap().check();
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_built_in_mesh_is_sound() {
        let mesh = MeshFile::parse(include_str!("../../../mesh.yaml")).unwrap();
        assert_eq!(mesh.check(), []);
        assert_eq!(mesh.resolve().unwrap().check(), []);
    }

    #[test]
    fn all_problems_come_at_once_with_their_keys() {
        let found = keys(
            "mesh: ''
telemetry: { sample_ratio: 2 }
load: { rps: -1 }
services:
  Front: { expose: 4080, instances: 2, calls: [back, nobody, back] }
  back: { instances: 0 }
  external: {}
routes:
  - { from: back, to: Front, policy: {} }
  - { to: ghost, policy: {} }
chaos:
  - { id: a, where: ghost, abort: 503 }
  - { id: a, where: back -> Front, abort: 503 }",
        );
        for key in [
            "mesh",
            "telemetry.sample_ratio",
            "load.rps",
            "services.Front",
            "services.Front.expose",
            "services.Front.calls[1]",
            "services.Front.calls[2]",
            "services.back.instances",
            "services.external",
            "routes[0]",
            "routes[1].to",
            "chaos[0].where",
            "chaos[1].id",
            "chaos[1].where",
        ] {
            assert!(found.iter().any(|one| one == key), "{key} not in {found:?}");
        }
    }

    #[test]
    fn unknown_services_are_answered_with_the_known() {
        let mesh = MeshFile::parse("mesh: m\nservices: { a: { calls: [payment] }, payments: {} }")
            .unwrap();
        let problems = mesh.check();
        assert!(problems[0].message.contains("known are: a, payments"));
    }

    #[test]
    fn a_deadline_shorter_than_its_attempts_is_named_where_it_was_written() {
        let found = keys(
            "mesh: m
services: { a: { calls: [b, c] }, b: {}, c: {} }
defaults: { deadline: 2s, attempt_timeout: 1s }
routes: [ { from: a, to: b, policy: { attempt_timeout: 3s } } ]",
        );
        assert_eq!(found, ["routes[0].policy.attempt_timeout"]);
    }

    #[test]
    fn instances_have_names_of_their_own_and_addresses() {
        let found = keys(
            "mesh: m
services:
  a: { instances: [ { name: x, inbound: 'a:1' }, { name: x, inbound: 'a' } ] }",
        );
        assert_eq!(
            found,
            [
                "services.a.instances[1].inbound",
                "services.a.instances[1].name"
            ]
        );
    }

    #[test]
    fn ports_that_collide_are_named_by_their_setting() {
        let found = keys("mesh: m\nports: { console: 4318 }\nservices: { a: {} }");
        assert_eq!(found, ["ports.otlp_http"]);
    }

    #[test]
    fn numbers_of_rules_and_retries_are_checked_as_a_sidecar_would() {
        let found = keys(
            "mesh: m
services: { a: { calls: [b] }, b: {} }
defaults: { retry: { attempts: 0 }, budget: { share: -1 } }
chaos: [ { id: x, where: b, percent: 120, abort: 503 }, { id: y, where: b } ]",
        );
        assert!(found.contains(&"chaos[0].percent".to_owned()), "{found:?}");
        assert!(
            found.contains(&"defaults.retry.attempts".to_owned()),
            "{found:?}"
        );
        assert!(
            found.contains(&"defaults.budget.share".to_owned()),
            "{found:?}"
        );
        assert!(
            found.iter().any(|key| key.starts_with("chaos[1]")),
            "{found:?}"
        );
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        let error = MeshFile::parse("mesh: m\nservices: { a: { cals: [b] } }").unwrap_err();
        assert!(error.contains("cals"), "{error}");
    }
}
