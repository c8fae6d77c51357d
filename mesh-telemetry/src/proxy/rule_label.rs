//! Chaos rules as a label: bounded, though whoever makes rules can make names for ever.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Most rules that a process tells apart in its metrics; spans name all of them. More
/// than twice as many as a console takes at once.
const MOST: usize = 256;

/// What stands for those that came after.
const OTHER: &str = "_other";

static KNOWN: Known = Known(Mutex::new(BTreeSet::new()));

/// Names that have series.
struct Known(Mutex<BTreeSet<Box<str>>>);

impl Known {
    fn label<'a>(&self, rule: &'a str) -> &'a str {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(rule) {
            return rule;
        }
        if known.len() >= MOST {
            return OTHER;
        }
        known.insert(rule.into());
        rule
    }
}

/// The rule as it stands in the label `rule`.
pub(super) fn label(rule: &str) -> &str {
    KNOWN.label(rule)
}

#[cfg(test)]
mod tests {
    use super::{Known, MOST, Mutex, OTHER};

    #[test]
    fn rules_beyond_the_bound_share_a_label_and_those_before_keep_theirs() {
        let known = Known(Mutex::default());
        let names: Vec<String> = (0..MOST + 10)
            .map(|number| format!("rule-{number}"))
            .collect();
        for _ in 0..2 {
            for (number, name) in names.iter().enumerate() {
                let wanted = if number < MOST { name } else { OTHER };
                assert_eq!(known.label(name), wanted);
            }
        }
    }
}
