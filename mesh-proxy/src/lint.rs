//! Advice about policies that can be put in force, but will hardly do what was
//! meant: what [`check`](crate::config::check) lets through and experience does not.

use std::fmt;

use serde::Serialize;

use crate::config::Policy;

/// Something that will hardly do what was meant. Never an error: there are
/// reasons for everything.
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

/// Looks at one sidecar's policy.
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Advice> {
    let _ = policy;
    Vec::new()
}
