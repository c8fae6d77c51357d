//! The inbound side as it is in force.

use std::{collections::BTreeMap, sync::Arc};

use mesh_telemetry::proxy::{Direction, Edge};

use super::{
    Limits, Owner, RouteState, Times,
    limits::{Wanted, Whose},
    testers::Testers,
};
use crate::{
    config::Policy,
    layers::{
        authorize::Denial,
        chaos::{post::Posts, rule::Rules},
    },
};

/// Name of the one inbound route, in metrics and spans.
const ROUTE: &str = "inbound";

/// Who calls when nobody the mesh knows does.
const EXTERNAL: &str = "external";

/// All that the inbound layers read.
pub(crate) struct Local {
    /// Callers outside the mesh come in here: what they claim is removed.
    pub(crate) is_edge: bool,
    /// Those of them whose baggage is kept.
    pub(crate) testers: Testers,
    /// The route of each caller that the mesh knows: same limits, own metrics.
    by_caller: BTreeMap<String, Arc<RouteState>>,
    external: Arc<RouteState>,
}

impl Local {
    pub(super) fn build(
        owner: &Owner,
        raw: &Policy,
        rules: &Rules,
        before: Option<&Self>,
    ) -> Option<Self> {
        owner.application.as_ref()?; // without an application there is no inbound side
        let inbound = &raw.inbound;
        let wanted = Wanted {
            rate: inbound.rate_limit.as_ref(),
            most: inbound.max_in_flight,
            adaptive: inbound.adaptive.as_ref(),
        };
        let whose = Whose {
            direction: Direction::Inbound,
            destination: &owner.service,
            route: ROUTE,
        };
        let before_limits = before.map(|before| &before.external.limits);
        let limits = Limits::build(wanted, whose, before_limits);
        let faults = Posts::on_node(rules, &owner.service, &owner.instance);
        let deny: Arc<[Denial]> = inbound.deny.iter().map(Denial::from).collect();
        let route = |caller: &str| {
            let old = before
                .map(|before| before.route(Some(caller)))
                .filter(|old| old.edge.source() == caller);
            let limits = limits.of_caller(old.map(|old| &old.limits));
            let times = Times {
                deadline: inbound.deadline,
                attempt: None,
                attempt_min: std::time::Duration::ZERO,
                idle: inbound.idle_timeout,
                covers_body: true,
            };
            let edge = edge(owner, caller, old);
            faults.register(&edge);
            Arc::new(RouteState {
                max_body: inbound.max_body,
                request_faults: faults.clone(),
                deny: Arc::clone(&deny),
                ..RouteState::plain(edge, times, limits)
            })
        };
        let callers = inbound.callers.iter().chain(raw.clusters.keys());
        Some(Self {
            is_edge: inbound.edge,
            testers: Testers::of(&inbound.testers),
            by_caller: callers
                .map(|caller| (caller.clone(), route(caller)))
                .collect(),
            external: route(EXTERNAL),
        })
    }

    /// Route of a caller who gives this name.
    pub(crate) fn route(&self, caller: Option<&str>) -> &Arc<RouteState> {
        caller
            .and_then(|caller| self.by_caller.get(caller))
            .unwrap_or(&self.external)
    }

    /// All that there are.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Arc<RouteState>> {
        self.by_caller.values().chain([&self.external])
    }
}

fn edge(owner: &Owner, caller: &str, old: Option<&Arc<RouteState>>) -> Arc<Edge> {
    old.map(|old| &old.edge)
        .filter(|edge| edge.source() == caller)
        .map_or_else(
            || Edge::new(Direction::Inbound, caller, &owner.service, ROUTE),
            Arc::clone,
        )
}
