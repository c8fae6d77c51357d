//! Everything that is wrong with a mesh file, found in one go.

mod policies;
mod scenarios;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use mesh_proxy::config::{Problem, Rule};

use super::{EdgePolicy, Instance, Instances, MeshFile, Service};

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
        self.check_routes("", &self.routes, &mut found);
        self.check_chaos(&mut found);
        self.check_scenarios(&mut found);
        self.check_places(&mut found);
        match self.with_known_calls().resolve() {
            Ok(resolved) => {
                resolved.check_listeners(&mut found);
                resolved.check_policies(&mut found);
                resolved.check_overlays(&mut found);
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

    /// Checks policies of edges, of the file or, with a prefix for their keys, of a scenario.
    fn check_routes(&self, prefix: &str, routes: &[EdgePolicy], found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (index, edge) in routes.iter().enumerate() {
            let key = format!("{prefix}routes[{index}]");
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
            self.check_rule_at(&key, rule, found);
        }
    }

    fn check_rule_at(&self, key: &str, rule: &Rule, found: &mut Found) {
        for problem in self.check_rule(rule) {
            let key = match problem.key.as_str() {
                "" => key.to_owned(),
                own => format!("{key}.{own}"),
            };
            found.add(&key, problem.message);
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
    if count == 0 && service.dns.is_none() {
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
pub(crate) fn bad_name(name: &str) -> Option<String> {
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
mod tests;
