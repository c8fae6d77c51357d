//! What a rule may not be, beyond what a sidecar would refuse.

use std::time::Duration;

use mesh_proxy::config::{Problem, Rule};

use super::{Chaos, words};

/// Most rules at once; they travel in every snapshot.
pub(crate) const MOST: usize = 100;

/// Longest description, bytes; it travels in every snapshot, too.
const LONGEST_DESCRIPTION: usize = 1_000;

/// Longest time a rule or scenario may be in force: a forgotten one must not outlive
/// the day.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

impl Chaos {
    pub(super) fn check(&self, rule: &Rule) -> Vec<Problem> {
        let mut problems = self.roster.mesh().check_rule(rule);
        if rule.description.len() > LONGEST_DESCRIPTION {
            problems.push(Problem {
                key: "description".to_owned(),
                message: format!("it is longer than {LONGEST_DESCRIPTION} bytes; shorten it"),
            });
        }
        if rule.ttl > LONGEST {
            problems.push(Problem {
                key: "for".to_owned(),
                message: format!(
                    "{} is longer than {}, the longest time of a rule",
                    words::time(rule.ttl),
                    words::time(LONGEST)
                ),
            });
        }
        problems
    }
}
