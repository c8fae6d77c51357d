//! Routes as they are in force.

use std::sync::Arc;

use http::{HeaderMap, Method};
use mesh_telemetry::proxy::{Direction, Edge};

use super::{Limits, Owner, Times};
use crate::{
    cluster::{Cluster, Clusters},
    config::{self, Deny, Hedge, Position, RetryPolicy, RouteMatch},
    layers::{chaos::rule::Rules, retry::condition_names},
    paths::has_prefix,
};

/// A route with all that its layers read.
pub(crate) struct RouteState {
    pub(crate) matches: RouteMatch,
    /// None on the way to the application, which is not balanced.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) times: Times,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) hedge: Option<Hedge>,
    /// Largest body of a request; none: any size.
    pub(crate) max_body: Option<u64>,
    /// Whether `Upgrade` goes on.
    pub(crate) upgrades: bool,
    pub(crate) limits: Limits,
    pub(crate) request_faults: Rules,
    pub(crate) attempt_faults: Rules,
    pub(crate) mirror: Option<MirrorState>,
    /// Refused requests; outbound none.
    pub(crate) deny: Arc<[Deny]>,
}

/// Where copies go: a route of its own, so that they are balanced, counted and
/// traced as what they are.
pub(crate) struct MirrorState {
    /// 0 to 1.
    pub(crate) share: f64,
    pub(crate) route: Arc<RouteState>,
}

impl RouteState {
    /// A route with nothing switched on.
    pub(super) fn plain(edge: Arc<Edge>, times: Times, limits: Limits) -> Self {
        Self {
            matches: RouteMatch::default(),
            cluster: None,
            edge,
            times,
            retry: None,
            hedge: None,
            max_body: None,
            upgrades: true,
            limits,
            request_faults: Rules::default(),
            attempt_faults: Rules::default(),
            mirror: None,
            deny: Arc::default(),
        }
    }

    /// Builds a route of a checked policy; none would mean that the check let an
    /// unknown cluster through.
    pub(super) fn build(
        raw: &config::Route,
        owner: &Owner,
        clusters: &Clusters,
        rules: &Rules,
        before: &[Arc<Self>],
    ) -> Option<Arc<Self>> {
        let cluster = clusters.get(raw.cluster.as_ref()?)?;
        let old = before.iter().find(|old| old.edge.route() == raw.name);
        let mirror = raw.mirror.as_ref().and_then(|mirror| {
            let old = old
                .and_then(|old| old.mirror.as_ref())
                .map(|old| &*old.route);
            let name = format!("{}-mirror", raw.name);
            let shadow = clusters.get(&mirror.cluster)?;
            let route = Self {
                retry: None,
                hedge: None,
                ..Self::to(shadow, &name, raw, owner, rules, old)
            };
            let share = mirror.percent / 100.0;
            Some(MirrorState {
                share,
                route: Arc::new(route),
            })
        });
        let old = old.map(|old| &**old);
        let route = Self::to(cluster, &raw.name, raw, owner, rules, old);
        Some(Arc::new(Self { mirror, ..route }))
    }

    fn to(
        cluster: &Arc<Cluster>,
        name: &str,
        raw: &config::Route,
        owner: &Owner,
        rules: &Rules,
        old: Option<&Self>,
    ) -> Self {
        let faults = |position| rules.on_edge(&owner.service, cluster.name(), position);
        let limits = old.map(|old| &old.limits);
        let times = Times {
            deadline: Some(raw.deadline),
            attempt: raw.attempt_timeout,
            attempt_min: raw.attempt_min,
            idle: raw.idle_timeout,
            covers_body: raw.deadline_covers_body,
        };
        let edge = edge(owner, cluster.name(), name, old);
        register(&edge, raw);
        let limits = Limits::build(raw.rate_limit.as_ref(), raw.max_in_flight, limits);
        Self {
            matches: raw.matches.clone(),
            cluster: Some(Arc::clone(cluster)),
            retry: raw.retry.clone(),
            hedge: raw.hedge.clone(),
            max_body: raw.max_body,
            upgrades: raw.upgrades,
            request_faults: faults(Position::Request),
            attempt_faults: faults(Position::Attempt),
            ..Self::plain(edge, times, limits)
        }
    }

    /// Whether the route takes the request.
    pub(crate) fn takes(&self, authority: Option<&str>, method: &Method, path: &str) -> bool {
        let RouteMatch {
            authority: wanted,
            path_prefix,
            methods,
            ..
        } = &self.matches;
        let authority = wanted
            .as_ref()
            .is_none_or(|wanted| authority.is_some_and(|given| given.eq_ignore_ascii_case(wanted)));
        authority
            && path_prefix
                .as_ref()
                .is_none_or(|prefix| has_prefix(path, prefix))
            && (methods.is_empty() || methods.iter().any(|wanted| wanted == method.as_str()))
    }
}

/// Lets what the route's policy may count start at 0.
fn register(edge: &Edge, raw: &config::Route) {
    if let Some(retry) = &raw.retry {
        edge.register_conditions(condition_names(retry));
    }
    if raw.hedge.is_some() {
        edge.register_hedges();
    }
}

fn edge(owner: &Owner, destination: &str, route: &str, old: Option<&RouteState>) -> Arc<Edge> {
    old.map(|old| &old.edge)
        .filter(|edge| edge.destination() == destination && edge.route() == route)
        .map_or_else(
            || Edge::new(Direction::Outbound, &owner.service, destination, route),
            Arc::clone,
        )
}

/// Host of a request, without port: of the URI in absolute form, else of `Host`.
pub(crate) fn authority<'a>(uri: &'a http::Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let full = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(http::header::HOST)?.to_str().ok()?,
    };
    let full = full.rsplit_once('@').map_or(full, |(_, host)| host);
    let end = match full.rfind(']') {
        Some(bracket) => bracket + 1, // an IPv6 literal has colons of its own
        None => full.find(':').unwrap_or(full.len()),
    };
    let host = full.get(..end)?;
    Some(host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri, header::HOST};

    use super::authority;

    #[test]
    fn the_authority_has_no_port_and_comes_from_the_uri_first() {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("payments:80"))]);
        let of = |uri: &'static str| authority(&Uri::from_static(uri), &headers).map(str::to_owned);
        assert_eq!(of("/x").as_deref(), Some("payments"));
        assert_eq!(of("http://orders:8080/x").as_deref(), Some("orders"));
        assert_eq!(of("http://orders./x").as_deref(), Some("orders"));
        assert_eq!(of("http://[::1]:80/x").as_deref(), Some("[::1]"));
        assert_eq!(authority(&Uri::from_static("/x"), &HeaderMap::new()), None);
    }
}
