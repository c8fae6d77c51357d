//! Checks of chaos rules, for the mesh file and for the API alike.

use mesh_proxy::config::{self, Place, Policy, Problem, Rule};

use super::MeshFile;

impl MeshFile {
    /// Everything that is wrong with a rule in this mesh, by its own keys.
    #[must_use]
    pub fn check_rule(&self, rule: &Rule) -> Vec<Problem> {
        let alone = Policy {
            chaos: vec![rule.clone()],
            ..Policy::default()
        };
        let mut problems: Vec<Problem> = config::check(&alone)
            .into_iter()
            .map(|problem| Problem {
                key: own_key(&problem.key),
                message: problem.message,
            })
            .collect();
        problems.extend(self.check_place(&rule.place));
        problems
    }

    fn check_place(&self, place: &Place) -> Vec<Problem> {
        let names: Vec<&String> = match place {
            Place::Edge {
                source,
                destination,
            } => vec![source, destination],
            Place::Node(name) => vec![name],
        };
        let mut problems: Vec<Problem> = names
            .into_iter()
            .filter(|name| !self.services.contains_key(*name))
            .map(|name| problem(self.unknown_service(name)))
            .collect();
        if let (
            true,
            Place::Edge {
                source,
                destination,
            },
        ) = (problems.is_empty(), place)
            && !self.may_call(source, destination)
        {
            problems.push(problem(format!(
                "`{source}` does not call `{destination}`, so the rule could never strike; \
                 its calls are: {}",
                self.services[source].calls.join(", ")
            )));
        }
        problems
    }

    /// A sentence for a name that is no service.
    pub(super) fn unknown_service(&self, name: &str) -> String {
        format!(
            "`{name}` is no service of this mesh; known are: {}",
            self.known_services()
        )
    }
}

fn problem(message: String) -> Problem {
    Problem {
        key: "where".to_owned(),
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
