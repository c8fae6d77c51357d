//! From the raw form to a policy that can be put in force: everything that is
//! wrong is reported at once, each problem with the path of its key.
//!
//! The file and the console's snapshots pass through the same functions.

mod cluster;
mod inbound;
mod limits;
mod listener;
pub(super) mod near;
mod policy;
mod retry;
mod route;
mod rules;
mod sidecar;
mod tls;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Policy, SidecarConfig};

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
    let mut found = Findings::default();
    policy::check(policy, &mut found);
    found.problems
}

/// The same on the machine of the sidecar, whose files are looked at, too.
pub(crate) fn check_here(policy: &Policy) -> Vec<Problem> {
    let mut found = Findings::default();
    here(policy, &mut found);
    found.problems
}

fn here(policy: &Policy, found: &mut Findings) {
    policy::check(policy, found);
    tls::policy_files(policy, found);
}

/// Reports everything that is wrong with a sidecar's own settings and with the
/// policy it starts with; empty: it can be started.
#[must_use]
pub fn check_sidecar(config: &SidecarConfig) -> Vec<Problem> {
    let mut found = Findings::default();
    sidecar::check(config, &mut found);
    listener::check(config, &mut found);
    found.under("policy", |found| here(&config.policy, found));
    found.problems
}

/// What was found so far, and where the check stands now.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    path: String,
}

impl Findings {
    /// Goes on one level deeper: `key` is a name or an index in brackets.
    fn under(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() && !key.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(key);
        check(self);
        self.path.truncate(length);
    }

    /// Goes through a list, under `key[0]`, `key[1]`, ….
    fn each<'a, T>(
        &mut self,
        key: &str,
        items: &'a [T],
        mut check: impl FnMut(&mut Self, usize, &'a T),
    ) {
        for (index, item) in items.iter().enumerate() {
            self.under(&format!("{key}[{index}]"), |found| {
                check(found, index, item);
            });
        }
    }

    /// Reports that the value of `key` is wrong; an empty key means this level itself.
    fn report(&mut self, key: &str, message: impl Into<String>) {
        let message = message.into();
        let mut at = String::new();
        self.under_or_here(key, |found| at.clone_from(&found.path));
        self.problems.push(Problem { key: at, message });
    }

    /// Reports unless the condition holds.
    fn expect(&mut self, holds: bool, key: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.report(key, message());
        }
    }

    fn under_or_here(&mut self, key: &str, then: impl FnOnce(&mut Self)) {
        if key.is_empty() {
            then(self);
        } else {
            self.under(key, then);
        }
    }
}

/// A name that can stand in a metric label, a span and a message.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63 // the length of a DNS label
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn name_expected(text: &str) -> String {
    format!("`{text}` is no name: expected 1 to 63 letters, digits, `-`, `_` or `.`")
}

#[cfg(test)]
mod tests {
    use super::{super::SidecarConfig, check, check_sidecar};

    fn problems_of(yaml: &str) -> Vec<String> {
        check(&serde_saphyr::from_str(yaml).unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn assert_reported(yaml: &str, key: &str, part: &str) {
        let found = problems_of(yaml);
        let wanted = format!("{key}: ");
        assert!(
            found
                .iter()
                .any(|p| p.starts_with(&wanted) && p.contains(part)),
            "expected `{key}` … `{part}` among {found:#?}"
        );
    }

    const FINE: &str = "
clusters: { payments: { endpoints: ['127.0.0.1:1'] } }
routes: [{ name: payments, match: { authority: payments }, cluster: payments }]
";

    #[test]
    fn a_sound_policy_has_no_problems() {
        assert_eq!(problems_of(FINE), Vec::<String>::new());
        assert_eq!(problems_of("{}"), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = problems_of(
            "
clusters: { payments: { endpoints: ['nowhere'], max_ejected: 2, consecutive_failures: 5 } }
routes:
  - { name: a, match: {}, cluster: paymints, retry: { attempts: 0 } }
  - { name: a, match: { path_prefix: orders }, cluster: payments }
  - { name: b, match: { path: /orders }, cluster: payments }
chaos: [{ id: 'Bad Id', where: payments, percent: 130 }]
",
        );
        let keys: Vec<&str> = found.iter().filter_map(|p| p.split(": ").next()).collect();
        for key in [
            "clusters.payments.endpoints[0]",
            "clusters.payments.max_ejected",
            "routes[0].cluster",
            "routes[0].retry.attempts",
            "routes[1].name",
            "routes[1].match.path_prefix",
            "routes[2]",
            "chaos[0].id",
            "chaos[0].percent",
            "chaos[0]",
        ] {
            assert!(keys.contains(&key), "{key} missing in {found:#?}");
        }
    }

    #[test]
    fn unknown_cluster_names_the_near_one() {
        assert_reported(
            "
clusters: { payments: { endpoints: [] } }
routes: [{ name: a, match: {}, cluster: payment }]
",
            "routes[0].cluster",
            "did you mean `payments`?",
        );
    }

    #[test]
    fn attempt_longer_than_the_deadline_is_an_inversion() {
        assert_reported(
            "
clusters: { a: { endpoints: [] } }
routes: [{ name: a, match: {}, cluster: a, deadline: 1s, attempt_timeout: 2s }]
",
            "routes[0].attempt_timeout",
            "deadline",
        );
    }

    #[test]
    fn a_route_behind_a_wider_one_is_unreachable() {
        assert_reported(
            "
clusters: { a: { endpoints: [] } }
routes:
  - { name: all, match: { authority: a, path_prefix: /x }, cluster: a }
  - { name: narrow, match: { authority: A, path_prefix: /x/y, methods: [GET] }, cluster: a }
",
            "routes[1]",
            "`all`",
        );
        assert_eq!(
            problems_of(
                "
clusters: { a: { endpoints: [] } }
routes:
  - { name: reads, match: { methods: [GET] }, cluster: a }
  - { name: all, match: {}, cluster: a }
"
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_rule_without_a_fault_is_refused() {
        assert_reported(
            "chaos: [{ id: idle, where: payments }]",
            "chaos[0]",
            "delay",
        );
    }

    #[test]
    fn an_abort_must_be_an_error_status() {
        assert_reported(
            "chaos: [{ id: odd, where: payments, abort: 200 }]",
            "chaos[0].abort",
            "400 to 599",
        );
    }

    #[test]
    fn sidecar_problems_carry_the_path_from_the_top() {
        let mut config: SidecarConfig = serde_saphyr::from_str(
            "
service: ''
instance: orders-1
admin: 127.0.0.1:0
metrics: 127.0.0.1:0
control: 'ftp://console'
",
        )
        .unwrap();
        config.policy =
            serde_saphyr::from_str("routes: [{ name: a, match: {}, cluster: b }]").unwrap();
        let keys: Vec<String> = check_sidecar(&config).into_iter().map(|p| p.key).collect();
        assert_eq!(
            keys,
            ["service", "control", "inbound", "policy.routes[0].cluster"]
        );
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_key() {
        let error = serde_saphyr::from_str::<super::Policy>("routs: []").unwrap_err();
        assert!(error.to_string().contains("routs"), "{error}");
    }
}
