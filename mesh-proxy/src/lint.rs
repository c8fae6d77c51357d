//! Advice about policies that can be put in force, but will hardly do what was
//! meant: what [`check`](crate::config::check) lets through and experience does not.

mod cluster;
mod mesh;
mod route;

use std::fmt;

use serde::Serialize;

use crate::config::Policy;

pub use mesh::{MeshAdvice, lint_mesh};

/// Something that will hardly do what was meant. A warning, never an error: there
/// are reasons for everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Path of the key, as `routes[2].retry.attempts`.
    pub key: String,
    /// What will happen, and how to mend it.
    pub message: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.key, self.message)
    }
}

/// Looks at one sidecar's policy, which [`check`](crate::config::check) has no
/// problems with.
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (name, settings) in &policy.clusters {
        let mut notes = Notes::at(format!("clusters.{name}"), &mut advice);
        cluster::lint(name, settings, policy, &mut notes);
    }
    for (index, route) in policy.routes.iter().enumerate() {
        let mut notes = Notes::at(format!("routes[{index}]"), &mut advice);
        route::lint(route, &mut notes);
    }
    advice
}

/// Advice about one part of a policy.
struct Notes<'a> {
    path: String,
    advice: &'a mut Vec<Advice>,
}

impl<'a> Notes<'a> {
    fn at(path: String, advice: &'a mut Vec<Advice>) -> Self {
        Self { path, advice }
    }

    /// Advises about a key below the part.
    fn note(&mut self, key: &str, message: impl Into<String>) {
        self.advice.push(Advice {
            key: format!("{}.{key}", self.path),
            message: message.into(),
        });
    }
}

#[cfg(test)]
mod tests;
