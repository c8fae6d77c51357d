//! All routes of a policy: which one takes a request, and which of its targets.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::RouteState;
use crate::{
    config,
    random::{Random, mix, unit},
    routing::{Asked, Index, Matcher},
};

/// The routes in their order, found through an index.
#[derive(Default)]
pub(crate) struct Routes {
    index: Index,
    targets: Vec<Target>,
    by_name: HashMap<String, usize>,
}

/// Where the requests of a route go.
pub(crate) enum Target {
    One(Arc<RouteState>),
    Split(Split),
}

/// Several clusters that share requests.
pub(crate) struct Split {
    pin: Option<HeaderName>,
    /// Each with the end of its part of all weights, in the order of names: a share
    /// that grows at its neighbour's cost leaves everybody else where he is.
    parts: Vec<(u64, Arc<RouteState>)>,
}

impl Routes {
    /// Makes targets of checked routes; a route that has none would mean that the
    /// check let a mistake through, and takes nothing.
    pub(crate) fn build(
        raw: &[config::Route],
        target: impl Fn(&config::Route, &Matcher) -> Option<Target>,
    ) -> Self {
        let mut routes = Self::default();
        let mut matchers = Vec::with_capacity(raw.len());
        for route in raw {
            let Ok(matcher) = Matcher::compile(&route.matches) else {
                continue;
            };
            if let Some(target) = target(route, &matcher) {
                routes.by_name.insert(route.name.clone(), matchers.len());
                routes.targets.push(target);
                matchers.push(matcher);
            }
        }
        routes.index = Index::new(matchers);
        routes
    }

    /// The first route that takes a request.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<&Target> {
        self.targets.get(self.index.find(asked)?)
    }

    /// Every target of every route.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<RouteState>> {
        self.targets.iter().flat_map(Target::states)
    }

    /// The route of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Target> {
        self.targets.get(*self.by_name.get(name)?)
    }
}

impl Target {
    /// Target of one request.
    pub(crate) fn choose(&self, headers: &HeaderMap, random: &Random) -> Option<&Arc<RouteState>> {
        match self {
            Self::One(route) => Some(route),
            Self::Split(split) => split.choose(headers, random),
        }
    }

    /// All that there are.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<RouteState>> {
        let (one, parts) = match self {
            Self::One(route) => (Some(route), [].as_slice()),
            Self::Split(split) => (None, split.parts.as_slice()),
        };
        one.into_iter().chain(parts.iter().map(|(_, route)| route))
    }
}

impl Split {
    /// From weights in the order of the clusters' names.
    pub(crate) fn new(
        pin: Option<HeaderName>,
        weights: impl IntoIterator<Item = (u32, Arc<RouteState>)>,
    ) -> Self {
        let mut end = 0;
        let parts = weights.into_iter().map(|(weight, route)| {
            end += u64::from(weight);
            (end, route)
        });
        Self {
            pin,
            parts: parts.collect(),
        }
    }

    fn choose(&self, headers: &HeaderMap, random: &Random) -> Option<&Arc<RouteState>> {
        let pinned = self.pin.as_ref().and_then(|pin| headers.get(pin));
        let at = pinned.map_or_else(|| random.unit(), |value| place(value.as_bytes()));
        let ends = self.parts.iter().map(|(end, _)| *end);
        Some(&self.parts.get(part(ends, at)?)?.1)
    }
}

/// Where a pinned value stands between 0 and 1, the same at every sidecar and in
/// every version: FNV-1a, spread over all bits.
pub(crate) fn place(value: &[u8]) -> f64 {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    unit(mix(hash))
}

/// The part that a place from 0 to 1 falls into, given where the parts end.
pub(crate) fn part(ends: impl Iterator<Item = u64> + Clone, at: f64) -> Option<usize> {
    let all = ends.clone().last()?;
    let at = at * all as f64;
    ends.enumerate()
        .find(|(_, end)| at < *end as f64)
        .map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::{part, place};

    #[test]
    fn a_pinned_value_has_a_place_that_never_changes() {
        // Written down once: users stay where they are when sidecars are updated.
        for (value, wanted) in [("ann", 0.703_262), ("bob", 0.123_192), ("", 0.763_694)] {
            let found = place(value.as_bytes());
            assert!((found - wanted).abs() < 1e-6, "{value}: {found}");
        }
        let share = (0..10_000)
            .filter(|user| place(format!("user-{user}").as_bytes()) < 0.1)
            .count();
        assert!((900..1100).contains(&share), "{share}");
    }

    #[test]
    fn parts_get_their_weights_share() {
        let of = |at| part([90, 90, 100].into_iter(), at);
        assert_eq!(
            [of(0.0), of(0.899), of(0.9), of(0.999)],
            [Some(0), Some(0), Some(2), Some(2)]
        );
        assert_eq!(part([0].into_iter(), 0.5), None);
    }
}
