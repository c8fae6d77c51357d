//! Advice about clusters.

use super::Notes;
use crate::config::{Cluster, Policy, Route};

pub(super) fn lint(name: &str, cluster: &Cluster, policy: &Policy, notes: &mut Notes<'_>) {
    let repeats = |route: &&Route| leads_to(route, name) && repeats(route);
    let Some(route) = policy.routes.iter().find(repeats) else {
        return;
    };
    let route = &route.name;
    let budget = &cluster.budget;
    if budget.share <= 0.0 && budget.floor <= 0.0 {
        notes.note(
            "budget",
            format!("it is empty, so nothing that `{route}` says about retries and hedges will ever happen: give it a share, as 0.2, or a floor, as 10"),
        );
    }
    if budget.share >= 1.0 {
        notes.note(
            "budget.share",
            format!(
                "{} allows a retry for every request, so that an outage at least doubles its own load: 0.2 is usual",
                budget.share
            ),
        );
    }
    if !ejects(cluster) {
        notes.note(
            "consecutive_failures",
            format!("nothing takes a failing endpoint out, and `{route}` retries: attempts go on being spent on it; leave the default of 5, or give `failure_share` or a `health_check`"),
        );
    }
}

/// Whether a route sends requests to a cluster.
pub(super) fn leads_to(route: &Route, cluster: &str) -> bool {
    let weight = |split: &crate::config::Split| split.clusters.get(cluster).copied();
    route.cluster.as_deref() == Some(cluster)
        || route
            .split
            .as_ref()
            .and_then(weight)
            .is_some_and(|weight| weight > 0)
}

fn repeats(route: &Route) -> bool {
    crate::explain::most_attempts(route) > 1
}

fn ejects(cluster: &Cluster) -> bool {
    cluster.consecutive_failures > 0
        || cluster.failure_share.is_some()
        || cluster.success_rate.is_some()
        || cluster.health_check.is_some()
}
