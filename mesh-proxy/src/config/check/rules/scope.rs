//! Where a rule strikes, and which requests.

use super::super::{Findings, is_name, name_expected};
use crate::{
    config::{Guard, Place, Position, Rule},
    layers::chaos::matching::Matcher,
    routing::Flaw,
    tls::spiffe_problem,
};

pub(super) fn check(rule: &Rule, found: &mut Findings) {
    found.under("match", |found| {
        for Flaw { key, message } in Matcher::flaws(rule) {
            found.report(&key, message);
        }
        check_ends(rule, found);
    });
    check_position(rule, found);
    if let Some(guard) = &rule.guard {
        found.under("guard", |found| check_guard(guard, found));
    }
}

/// Conditions that only one end of a call can see.
fn check_ends(rule: &Rule, found: &mut Findings) {
    let matches = &rule.matches;
    if let Some(route) = &matches.route {
        found.expect(is_name(route), "route", || name_expected(route));
    }
    found.each("callers", &matches.callers, |found, _, caller| {
        check_caller(rule, caller, found);
    });
    match &rule.place {
        Place::Edge { source, .. } => {
            found.expect(matches.callers.is_empty(), "callers", || {
                format!("a rule on an edge is seen by `{source}` alone: leave this out, or strike at the node")
            });
        }
        Place::Node(node) => {
            found.expect(matches.route.is_none(), "route", || {
                format!("routes are the caller's, and a rule on `{node}` is seen there: match a path, or strike at an edge, as `CALLER -> {node}`")
            });
        }
    }
}

fn check_caller(rule: &Rule, caller: &str, found: &mut Findings) {
    if !caller.contains("://") {
        found.expect(is_name(caller), "", || name_expected(caller));
        return;
    }
    if let Some(problem) = spiffe_problem(caller) {
        found.report("", problem);
    }
    found.expect(!rule.refuse, "", || {
        "`refuse` strikes at the sidecars of the callers, where no certificate is shown: give the service's name"
            .to_owned()
    });
}

fn check_position(rule: &Rule, found: &mut Findings) {
    if rule.position != Position::Request {
        return;
    }
    if let Place::Node(node) = &rule.place {
        found.report("position", format!(
            "`request` is a place before the retries of a caller, and a rule on `{node}` strikes behind them: leave it out, or strike at an edge, as `CALLER -> {node}`"
        ));
    }
    found.expect(rule.first_attempts.is_none(), "first_attempts", || {
        "at position `request` there are no attempts yet: leave one of the two out".to_owned()
    });
}

fn check_guard(guard: &Guard, found: &mut Findings) {
    let floor = guard.min_success;
    found.expect(floor > 0.0 && floor <= 100.0, "min_success", || {
        format!(
            "{floor} is no share that success could fall below: expected more than 0, at most 100"
        )
    });
    found.expect(guard.min_requests > 0, "min_requests", || {
        "of 0 requests nobody can say how many succeeded: expected 1 or more, as 20".to_owned()
    });
}
