//! Policies laid over those of the file, as a scenario does while it runs.

use super::{EdgePolicy, MeshFile, RoutePolicy};

/// A mesh with policies laid over its own.
pub(crate) struct Overlaid {
    pub(crate) mesh: MeshFile,
    /// For each of the mesh's `routes` the one laid over it last, by its place.
    origins: Vec<Option<usize>>,
}

impl MeshFile {
    /// The mesh with these policies in force: what they say wins over every level of
    /// the file, those of one caller over those of all.
    #[must_use]
    pub(crate) fn laid_over(&self, routes: &[EdgePolicy]) -> Overlaid {
        let mut overlaid = Overlaid {
            mesh: self.clone(),
            origins: vec![None; self.routes.len()],
        };
        for exact in [false, true] {
            for (place, above) in routes.iter().enumerate() {
                if above.from.is_some() == exact {
                    overlaid.lay(place, above);
                }
            }
        }
        overlaid
    }

    fn callers_in(&self, above: &EdgePolicy) -> Vec<String> {
        match &above.from {
            Some(from) => vec![from.clone()],
            None => self.callers(&above.to),
        }
    }
}

impl Overlaid {
    /// A policy for exactly one caller stands above all others of the file, so that is
    /// where each is laid.
    fn lay(&mut self, place: usize, above: &EdgePolicy) {
        for from in self.mesh.callers_in(above) {
            let index = self.exact(&from, &above.to);
            let edge = &mut self.mesh.routes[index];
            edge.policy = std::mem::take(&mut edge.policy).overlaid(&above.policy);
            edge.routes.splice(0..0, above.routes.iter().cloned());
            self.origins[index] = Some(place);
        }
    }

    /// Key of a scenario's policy behind a key of the mesh, as `scenarios[1].routes[0].policy.deadline`
    /// behind `routes[4].policy.deadline`.
    pub(super) fn key_of(&self, routes: &str, key: &str) -> Option<String> {
        let (index, rest) = key.strip_prefix("routes[")?.split_once(']')?;
        let place = self.origins.get(index.parse::<usize>().ok()?)?.as_ref()?;
        Some(format!("{routes}[{place}]{rest}"))
    }

    fn exact(&mut self, from: &str, to: &str) -> usize {
        let routes = &mut self.mesh.routes;
        let found = routes
            .iter()
            .position(|edge| edge.from.as_deref() == Some(from) && edge.to == to);
        found.unwrap_or_else(|| {
            routes.push(EdgePolicy {
                from: Some(from.to_owned()),
                to: to.to_owned(),
                policy: RoutePolicy::default(),
                routes: Vec::new(),
            });
            self.origins.push(None);
            routes.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EdgePolicy, MeshFile};

    const MESH: &str = "mesh: m
services: { a: { calls: [b] }, b: {}, c: { calls: [b] } }
defaults: { deadline: 9s, budget: { share: 0.2, floor: 10 } }
routes:
  - { from: a, to: b, policy: { deadline: 1s, max_in_flight: 7 } }
  - { to: b, policy: { attempt_timeout: 500ms } }";

    fn routes(yaml: &str) -> Vec<EdgePolicy> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn what_is_laid_over_wins_over_every_level_and_leaves_the_rest() {
        let mesh = MeshFile::parse(MESH).unwrap().resolve().unwrap();
        let over = routes(
            "[ { from: c, to: b, policy: { deadline: 3s } },
               { to: b, policy: { deadline: 2s, budget: { share: 5, floor: 0 } } } ]",
        );
        let changed = mesh.laid_over(&over).mesh;
        let of = |name: &str| changed.policy_for(name, &[]);
        assert_eq!(of("a").routes[0].deadline, Duration::from_secs(2));
        assert_eq!(of("a").routes[0].max_in_flight, Some(7));
        assert_eq!(of("c").routes[0].deadline, Duration::from_secs(3));
        let timeout = of("c").routes[0].attempt_timeout;
        assert_eq!(timeout, Some(Duration::from_millis(500)));
        let budget = &of("a").clusters["b"].budget;
        assert!((budget.share - 5.0).abs() < f64::EPSILON, "{budget:?}");
    }

    #[test]
    fn nothing_laid_over_changes_nothing() {
        let mesh = MeshFile::parse(MESH).unwrap().resolve().unwrap();
        let same = mesh.laid_over(&[]).mesh;
        for name in ["a", "b", "c"] {
            assert_eq!(same.policy_for(name, &[]), mesh.policy_for(name, &[]));
        }
    }
}
