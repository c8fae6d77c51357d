//! Checks of chaos rules, for the mesh file and for the API alike.

use mesh_proxy::config::{
    self, FaultKind, Guard, Place, Policy, Problem, Route, Rule, known_names,
};

use super::{Instances, MeshFile, Service, resolve::instance_name};

/// Callers that the mesh does not know, as metrics and rules name them.
const STRANGERS: &str = "external";

impl MeshFile {
    /// Everything that is wrong with a rule in this mesh, by its own keys.
    #[must_use]
    pub fn check_rule(&self, rule: &Rule) -> Vec<Problem> {
        let alone = Policy {
            chaos: vec![rule.clone()],
            ..Policy::default()
        };
        let mut found: Vec<Problem> = config::check(&alone)
            .into_iter()
            .map(|found| problem(own_key(&found.key), found.message))
            .collect();
        match &rule.place {
            Place::Edge {
                source,
                destination,
            } => {
                let wrong = self.edge_problems(source, destination);
                if wrong.is_empty() {
                    found.extend(self.check_route(rule, source, destination));
                }
                found.extend(wrong.into_iter().map(|message| problem("where", message)));
            }
            Place::Node(name) => match self.node(name) {
                Ok(node) => found.extend(self.check_node(rule, &node)),
                Err(message) => found.push(problem("where", message)),
            },
        }
        if let Some(guard) = &rule.guard {
            found.extend(self.check_guard(guard));
        }
        found
    }

    /// What is wrong with an edge that something is to happen on.
    fn edge_problems(&self, source: &str, destination: &str) -> Vec<String> {
        let unknown: Vec<String> = [source, destination]
            .into_iter()
            .filter(|name| !self.services.contains_key(*name))
            .map(|name| match self.service_of(name) {
                Some(service) => format!(
                    "`{name}` is one instance of `{service}`, and an edge lies between services: \
                     write `{service}`, or strike at `{name}` alone"
                ),
                None => self.unknown_service(name),
            })
            .collect();
        if !unknown.is_empty() || self.may_call(source, destination) {
            return unknown;
        }
        let calls = &self.services[source].calls;
        let calls = match calls.as_slice() {
            [] => "it calls nobody".to_owned(),
            some => format!("its calls are: {}", some.join(", ")),
        };
        vec![format!(
            "`{source}` does not call `{destination}`, so nothing would ever happen there; {calls}"
        )]
    }

    /// What a name of a node stands for.
    fn node<'a>(&'a self, name: &'a str) -> Result<Node<'a>, String> {
        let (service, owner) = (self.services.contains_key(name), self.service_of(name));
        match (service, owner) {
            (true, Some(owner)) if owner != name => Err(format!(
                "`{name}` is a service, and an instance of `{owner}`, too: rename one of the two"
            )),
            (true, _) => Ok(Node {
                service: name,
                instance: None,
            }),
            (false, Some(service)) => Ok(Node {
                service,
                instance: Some(name),
            }),
            (false, None) => {
                let instances = self.instances().map(|(_, instance)| instance);
                let instances: Vec<String> = instances.collect();
                let services = self.services.keys().map(String::as_str);
                let names = services.chain(instances.iter().map(String::as_str));
                Err(format!(
                    "`{name}` is no service of this mesh, and no instance of one; {}",
                    known_names(name, names)
                ))
            }
        }
    }

    fn check_node(&self, rule: &Rule, node: &Node<'_>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut callers = self
            .services
            .iter()
            .filter(|(_, service)| service.calls.iter().any(|to| to == node.service));
        if rule.faults().any(|kind| kind == FaultKind::Refuse) {
            let advice = "`reset` breaks connections there";
            if let Some(instance) = node.instance {
                found.push(problem("refuse", format!(
                    "connections are refused at the sidecars of all callers, which cannot single out `{instance}`: \
                     strike at `{}`, or at one edge; {advice}", node.service
                )));
            } else if callers.next().is_none() {
                found.push(problem("refuse", format!(
                    "connections are refused at the sidecars of callers, and no service of this mesh calls `{}`: {advice}",
                    node.service
                )));
            }
        }
        for (index, caller) in rule.matches.callers.iter().enumerate() {
            if let Some(message) = self.caller_problem(rule, caller, node.service) {
                found.push(problem(format!("match.callers[{index}]"), message));
            }
        }
        found
    }

    fn caller_problem(&self, rule: &Rule, caller: &str, service: &str) -> Option<String> {
        if caller.contains("://") {
            return None; // proven by a certificate, which the file does not know
        }
        if caller == STRANGERS {
            return rule.refuse.then(|| {
                "connections are refused at the sidecars of callers, and strangers have none: \
                 `reset` breaks theirs"
                    .to_owned()
            });
        }
        if !self.services.contains_key(caller) {
            return Some(self.unknown_service(caller));
        }
        (!self.may_call(caller, service)).then(|| {
            format!("`{caller}` does not call `{service}`, so the rule would never meet it")
        })
    }

    /// A route that a rule asks for must lead along its edge.
    fn check_route(&self, rule: &Rule, source: &str, destination: &str) -> Option<Problem> {
        let wanted = rule.matches.route.as_deref()?;
        let routes = self.policy_for(source, &[]).routes;
        let there: Vec<String> = routes
            .iter()
            .flat_map(|route| names_towards(route, destination))
            .collect();
        if there.iter().any(|name| name == wanted) {
            return None;
        }
        let message = format!(
            "no route `{wanted}` leads from `{source}` to `{destination}`; {}",
            known_names(wanted, there.iter().map(String::as_str))
        );
        Some(problem("match.route", message))
    }

    fn check_guard(&self, guard: &Guard) -> Vec<Problem> {
        let wrong = match &guard.watch {
            Place::Edge {
                source,
                destination,
            } => self.edge_problems(source, destination),
            Place::Node(name) if self.services.contains_key(name) => Vec::new(),
            Place::Node(name) => match self.service_of(name) {
                Some(service) => vec![format!(
                    "`{name}` is one instance of `{service}`, and a guard watches a service or an edge: write `{service}`"
                )],
                None => vec![self.unknown_service(name)],
            },
        };
        wrong
            .into_iter()
            .map(|message| problem("guard.watch", message))
            .collect()
    }

    /// The service that an instance of this name belongs to.
    fn service_of(&self, instance: &str) -> Option<&str> {
        self.instances()
            .find_map(|(service, name)| (name == instance).then_some(service))
    }

    /// All instances, by service and name.
    fn instances(&self) -> impl Iterator<Item = (&str, String)> {
        self.services.iter().flat_map(|(service, settings)| {
            let names = settings.instance_names(service);
            names.into_iter().map(|name| (service.as_str(), name))
        })
    }

    /// A sentence for a name that is no service.
    pub(super) fn unknown_service(&self, name: &str) -> String {
        let services = self.services.keys().map(String::as_str);
        format!(
            "`{name}` is no service of this mesh; {}",
            known_names(name, services)
        )
    }
}

/// What a rule strikes that is on no edge.
struct Node<'a> {
    service: &'a str,
    /// None: all.
    instance: Option<&'a str>,
}

impl Service {
    /// Names of its instances, also before they have addresses.
    fn instance_names(&self, service: &str) -> Vec<String> {
        match &self.instances {
            Instances::Count(count) => (1..=*count)
                .map(|number| instance_name(service, number))
                .collect(),
            Instances::Listed(listed) => listed.iter().map(|one| one.name.clone()).collect(),
        }
    }
}

/// Names under which requests of a route, and their copies, go to a service.
fn names_towards(route: &Route, destination: &str) -> Vec<String> {
    let split = route.split.as_ref();
    let splits = split.is_some_and(|split| split.clusters.contains_key(destination));
    let leads = splits || route.cluster.as_deref() == Some(destination);
    let mirror = route.mirror.as_ref();
    let copies = mirror.is_some_and(|mirror| mirror.cluster == destination);
    let own = leads.then(|| route.name.clone());
    let copy = copies.then(|| format!("{}-mirror", route.name));
    own.into_iter().chain(copy).collect()
}

fn problem(key: impl Into<String>, message: String) -> Problem {
    Problem {
        key: key.into(),
        message,
    }
}

/// `percent` of `chaos[0].percent`.
fn own_key(key: &str) -> String {
    match key.strip_prefix("chaos[0]") {
        Some(rest) => rest.trim_start_matches('.').to_owned(),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests;
