//! Routes as they are in force.

mod table;

use std::sync::Arc;

use http::HeaderMap;
use mesh_telemetry::proxy::{Direction, Edge};

pub(crate) use table::{Routes, Target, part, place};

use super::{
    Limits, Owner, Times,
    limits::{Wanted, Whose},
};
use crate::{
    cluster::{Cluster, Clusters},
    config::{self, Hedge, Position, RetryPolicy},
    layers::{
        authorize::Denial,
        chaos::{
            post::Posts,
            rule::{Armed, Rules},
        },
        retry::condition_names,
    },
    routing::{Matcher, answer::Answer, changes::Changes, template::Template},
};
use table::Split;

/// Destination, in metrics and spans, of requests that the sidecar answers itself.
const NOBODY: &str = "none";

/// A route, or one target of a split route, with all that its layers read.
pub(crate) struct RouteState {
    /// None on the way to the application, which is not balanced, and where the
    /// sidecar answers itself.
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
    pub(crate) request_faults: Posts,
    pub(crate) attempt_faults: Posts,
    pub(crate) mirror: Option<MirrorState>,
    pub(crate) changes: Option<Arc<Changes>>,
    /// Given instead of asking a cluster.
    pub(crate) answer: Option<Answer>,
    /// Refused requests; outbound none.
    pub(crate) deny: Arc<[Denial]>,
}

/// Where copies go: a route of its own, so that they are balanced, counted and
/// traced as what they are.
#[derive(Clone)]
pub(crate) struct MirrorState {
    /// 0 to 1.
    pub(crate) share: f64,
    pub(crate) route: Arc<RouteState>,
}

impl RouteState {
    /// A route with nothing switched on.
    pub(super) fn plain(edge: Arc<Edge>, times: Times, limits: Limits) -> Self {
        Self {
            cluster: None,
            edge,
            times,
            retry: None,
            hedge: None,
            max_body: None,
            upgrades: true,
            limits,
            request_faults: Posts::default(),
            attempt_faults: Posts::default(),
            mirror: None,
            changes: None,
            answer: None,
            deny: Arc::default(),
        }
    }

    /// Chaos rules that can strike here, or a copy of what passes here.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Armed>> {
        let mirror = self.mirror.as_ref().map(|mirror| &*mirror.route);
        let routes = std::iter::once(self).chain(mirror);
        routes.flat_map(|route| {
            route
                .request_faults
                .rules()
                .chain(route.attempt_faults.rules())
        })
    }
}

impl Routes {
    /// The routes of a checked policy. Limits and metric handles of `before` live on.
    pub(super) fn of(
        raw: &[config::Route],
        owner: &Owner,
        clusters: &Clusters,
        rules: &Rules,
        before: &Self,
    ) -> Self {
        Self::build(raw, |route, matcher| {
            Builder {
                raw: route,
                matcher,
                owner,
                clusters,
                rules,
                old: before.named(&route.name),
            }
            .target()
        })
    }
}

/// Makes the target of one route.
struct Builder<'a> {
    raw: &'a config::Route,
    matcher: &'a Matcher,
    owner: &'a Owner,
    clusters: &'a Clusters,
    rules: &'a Rules,
    old: Option<&'a Target>,
}

impl Builder<'_> {
    fn target(&self) -> Option<Target> {
        let changes = Changes::compile(self.raw, &self.matcher.path).ok()?;
        let shared = Shared {
            limits: self.limits(),
            mirror: self.mirror(),
            changes: changes.map(Arc::new),
        };
        if let Some(answer) = Answer::compile(self.raw, &self.matcher.path).ok()? {
            return Some(Target::One(Arc::new(self.answering(answer, shared))));
        }
        if let Some(cluster) = &self.raw.cluster {
            let cluster = self.clusters.get(cluster)?;
            return Some(Target::One(Arc::new(self.to(cluster, &shared))));
        }
        let split = self.raw.split.as_ref()?;
        let pin = split.pin.as_deref().and_then(|name| name.parse().ok());
        let weights = split.clusters.iter().filter_map(|(name, weight)| {
            let cluster = self.clusters.get(name)?;
            Some((*weight, Arc::new(self.to(cluster, &shared))))
        });
        Some(Target::Split(Split::new(pin, weights)))
    }

    fn answering(&self, answer: Answer, shared: Shared) -> RouteState {
        RouteState {
            answer: Some(answer),
            max_body: self.raw.max_body,
            changes: shared.changes,
            ..RouteState::plain(self.edge(NOBODY), self.times(), shared.limits)
        }
    }

    fn to(&self, cluster: &Arc<Cluster>, shared: &Shared) -> RouteState {
        let (edge, limits) = (self.edge(cluster.name()), shared.limits.clone());
        register(&edge, self.raw);
        RouteState {
            retry: self.raw.retry.clone(),
            hedge: self.raw.hedge.clone(),
            mirror: shared.mirror.clone(),
            changes: shared.changes.clone(),
            ..self.towards(cluster, &edge, limits)
        }
    }

    fn mirror(&self) -> Option<MirrorState> {
        let mirror = self.raw.mirror.as_ref()?;
        let cluster = self.clusters.get(&mirror.cluster)?;
        let old = self.old_states().find_map(|old| old.mirror.as_ref());
        let old = old.map(|old| &old.route);
        let name = format!("{}-mirror", self.raw.name);
        let edge = self.edge_from(old.into_iter(), cluster.name(), &name);
        // Copies have a cap of their own; nobody waits for them, so their latency is nobody's.
        let whose = Whose {
            direction: Direction::Outbound,
            destination: cluster.name(),
            route: &name,
        };
        let most = Wanted {
            most: self.raw.max_in_flight,
            ..Wanted::default()
        };
        let limits = Limits::build(most, whose, old.map(|old| &old.limits));
        let route = self.towards(cluster, &edge, limits);
        Some(MirrorState {
            share: mirror.percent / 100.0,
            route: Arc::new(route),
        })
    }

    /// A route to a cluster that tries once.
    fn towards(&self, cluster: &Arc<Cluster>, edge: &Arc<Edge>, limits: Limits) -> RouteState {
        let faults = |position| {
            let posts = Posts::on_edge(self.rules, &self.owner.service, cluster.name(), position);
            posts.register(edge);
            posts
        };
        RouteState {
            cluster: Some(Arc::clone(cluster)),
            max_body: self.raw.max_body,
            upgrades: self.raw.upgrades,
            request_faults: faults(Position::Request),
            attempt_faults: faults(Position::Attempt),
            ..RouteState::plain(Arc::clone(edge), self.times(), limits)
        }
    }

    fn times(&self) -> Times {
        let raw = self.raw;
        Times {
            deadline: Some(raw.deadline),
            attempt: raw.attempt_timeout,
            attempt_min: raw.attempt_min,
            idle: raw.idle_timeout,
            covers_body: raw.deadline_covers_body,
        }
    }

    /// Shared by the targets of a split, whose first one names them.
    fn limits(&self) -> Limits {
        let raw = self.raw;
        let mut split = raw.split.iter().flat_map(|split| split.clusters.keys());
        let destination = raw.cluster.as_ref().or_else(|| split.next());
        let whose = Whose {
            direction: Direction::Outbound,
            destination: destination.map_or(NOBODY, String::as_str),
            route: &raw.name,
        };
        let wanted = Wanted {
            rate: raw.rate_limit.as_ref(),
            most: raw.max_in_flight,
            adaptive: raw.adaptive.as_ref(),
        };
        let old = self.old_states().next();
        Limits::build(wanted, whose, old.map(|old| &old.limits))
    }

    fn old_states(&self) -> impl Iterator<Item = &Arc<RouteState>> {
        self.old.into_iter().flat_map(Target::states)
    }

    fn edge(&self, destination: &str) -> Arc<Edge> {
        self.edge_from(self.old_states(), destination, &self.raw.name)
    }

    /// The metric handles of an old route, where they are for the same traffic.
    fn edge_from<'a>(
        &self,
        mut old: impl Iterator<Item = &'a Arc<RouteState>>,
        destination: &str,
        name: &str,
    ) -> Arc<Edge> {
        let template = self.matcher.path.template().map(Template::text);
        let same = old.find(|old| {
            old.edge.destination() == destination
                && old.edge.route() == name
                && old.edge.template() == template
        });
        same.map_or_else(
            || Edge::for_template(&self.owner.service, destination, name, template),
            |old| Arc::clone(&old.edge),
        )
    }
}

/// What all targets of a route have in common.
struct Shared {
    limits: Limits,
    mirror: Option<MirrorState>,
    changes: Option<Arc<Changes>>,
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
