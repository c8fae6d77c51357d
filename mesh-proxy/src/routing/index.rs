//! Finds the first route that takes a request without asking every route.
//!
//! Built when a policy is put in force: by authority, below that a tree of path
//! segments, with regular expressions beside it. The order of the routes still
//! decides: the search visits all places at which a route for this authority and path
//! can stand, remembers the least number, and skips what can only hold greater ones.
//! So it costs as many steps as the path has segments, however many routes there
//! are, unless they differ in nothing but methods, headers, query or expressions.

use std::collections::HashMap;

use super::{
    Asked, LONGEST_HOST, Matcher,
    matcher::{Authority, PathMatch},
    template::{Segment, Template},
};
use crate::paths::split_segment;

/// Number of a route, by its place in the policy.
type Number = u32;

/// No route.
const NONE: Number = Number::MAX;

/// Routes by authority and path.
#[derive(Debug, Default)]
pub(crate) struct Index {
    matchers: Vec<Matcher>,
    exact: HashMap<Box<str>, Paths>,
    /// By the host that they are below of.
    below: HashMap<Box<str>, Paths>,
    any: Paths,
}

impl Index {
    pub(crate) fn new(matchers: Vec<Matcher>) -> Self {
        let mut index = Self::default();
        for (number, matcher) in (0..).zip(&matchers) {
            let paths = match &matcher.authority {
                Authority::Any => &mut index.any,
                Authority::Exact(host) => index.exact.entry(host.clone()).or_default(),
                Authority::Below(host) => index.below.entry(host.clone()).or_default(),
            };
            paths.insert(&matcher.path, number);
        }
        index.matchers = matchers;
        index
    }

    /// Number of the first route that takes the request. Allocates nothing.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<usize> {
        let mut search = Search {
            matchers: &self.matchers,
            asked,
            best: NONE,
        };
        let mut buffer = [0; LONGEST_HOST];
        if let Some(host) = asked.authority.and_then(|it| lowered(it, &mut buffer)) {
            self.search_host(host, &mut search);
        }
        self.any.search(&mut search);
        (search.best != NONE).then_some(search.best as usize)
    }

    fn search_host(&self, host: &str, search: &mut Search<'_>) {
        if let Some(paths) = self.exact.get(host) {
            paths.search(search);
        }
        if self.below.is_empty() {
            return;
        }
        for dot in memchr::memchr_iter(b'.', host.as_bytes()).filter(|dot| *dot > 0) {
            if let Some(paths) = self.below.get(&host[dot + 1..]) {
                paths.search(search);
            }
        }
    }
}

/// The host in lower case; none: it is no name that a route could ask for.
fn lowered<'a>(host: &'a str, buffer: &'a mut [u8; LONGEST_HOST]) -> Option<&'a str> {
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return (host.len() <= LONGEST_HOST).then_some(host);
    }
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

/// What is looked for, and the best that was found so far.
struct Search<'a> {
    matchers: &'a [Matcher],
    asked: &'a Asked<'a>,
    best: Number,
}

impl Search<'_> {
    /// Takes the first of these routes, in ascending order, whose other conditions hold.
    fn try_all(&mut self, routes: &[Number], takes: impl Fn(&Matcher, &Asked<'_>) -> bool) {
        let better = routes.iter().take_while(|number| **number < self.best);
        let mut held = better.filter(|number| takes(&self.matchers[**number as usize], self.asked));
        if let Some(number) = held.next() {
            self.best = *number;
        }
    }
}

/// The routes of one authority, by path.
#[derive(Debug)]
struct Paths {
    /// The first is the root.
    nodes: Vec<Node>,
    regexes: Vec<Number>,
}

/// A place in the tree: the segments up to here.
#[derive(Debug)]
struct Node {
    children: HashMap<Box<str>, usize>,
    /// Any one segment.
    named: Option<usize>,
    /// Routes for exactly this path.
    here: Vec<Number>,
    /// For this path and all below.
    prefix: Vec<Number>,
    /// For all paths below.
    below: Vec<Number>,
    /// Least number here and below.
    least: Number,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            children: HashMap::new(),
            named: None,
            here: Vec::new(),
            prefix: Vec::new(),
            below: Vec::new(),
            least: NONE,
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            regexes: Vec::new(),
        }
    }
}

impl Paths {
    fn insert(&mut self, path: &PathMatch, number: Number) {
        match path {
            PathMatch::Any => self.at(Place::ROOT, number).prefix.push(number),
            PathMatch::Exact(path) => self.at(Place::Path(path), number).here.push(number),
            PathMatch::Prefix(path) => self.at(Place::Path(path), number).prefix.push(number),
            PathMatch::Template(template) => {
                let node = self.at(Place::Template(template), number);
                if template.has_rest() {
                    node.below.push(number);
                } else {
                    node.here.push(number);
                }
            }
            PathMatch::Regex(_) => self.regexes.push(number),
        }
    }

    /// The node of a place, with those on the way to it.
    fn at(&mut self, place: Place<'_>, number: Number) -> &mut Node {
        let mut at = 0;
        self.nodes[at].least = self.nodes[at].least.min(number);
        for step in place.steps() {
            at = self.step(at, step);
            self.nodes[at].least = self.nodes[at].least.min(number);
        }
        &mut self.nodes[at]
    }

    fn step(&mut self, at: usize, step: Option<&str>) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match step {
            Some(segment) => *node.children.entry(segment.into()).or_insert(next),
            None => *node.named.get_or_insert(next),
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    fn search(&self, search: &mut Search<'_>) {
        self.walk(0, search.asked.path, search);
        search.try_all(&self.regexes, |matcher, asked| {
            matcher.path.takes(asked.path) && matcher.takes_rest(asked)
        });
    }

    fn walk(&self, at: usize, left: &str, search: &mut Search<'_>) {
        let node = &self.nodes[at];
        if node.least >= search.best {
            return;
        }
        search.try_all(&node.prefix, Matcher::takes_rest);
        let Some((segment, left)) = split_segment(left) else {
            search.try_all(&node.here, Matcher::takes_rest);
            return;
        };
        search.try_all(&node.below, Matcher::takes_rest);
        let child = node.children.get(segment).copied();
        for next in child.into_iter().chain(node.named) {
            self.walk(next, left, search);
        }
    }
}

/// A place in the tree, as a route names it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Path(&'a str),
    Template(&'a Template),
}

impl<'a> Place<'a> {
    const ROOT: Self = Self::Path("/");

    /// Segments from the root on; none stands for any one.
    fn steps(self) -> Vec<Option<&'a str>> {
        match self {
            Self::Path(path) => path
                .split('/')
                .filter(|it| !it.is_empty())
                .map(Some)
                .collect(),
            Self::Template(template) => template
                .segments()
                .iter()
                .map(|segment| match segment {
                    Segment::Text(text) => Some(&**text),
                    Segment::Named(_) => None,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use proptest::prelude::*;

    use super::{Asked, Index, Matcher};
    use crate::{
        config::{FieldMatch, RouteMatch},
        routing::covers,
    };

    /// Few names, so that conditions meet requests and one another.
    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]", 0..4).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    fn field() -> impl Strategy<Value = FieldMatch> {
        ("[xy]", 0..4, "[12]", any::<bool>()).prop_map(|(name, kind, value, invert)| FieldMatch {
            name,
            exact: (kind == 1).then(|| value.clone()),
            prefix: (kind == 2).then(|| value.clone()),
            regex: (kind == 3).then(|| format!("{value}+")),
            invert,
        })
    }

    fn condition() -> impl Strategy<Value = RouteMatch> {
        let template = prop::collection::vec("[ab]|\\{n\\}", 0..4).prop_map(|parts| {
            let named = parts
                .iter()
                .enumerate()
                .map(|(at, part)| part.replace('n', &format!("n{at}")));
            format!("/{}", named.collect::<Vec<_>>().join("/"))
        });
        let template = (template, any::<bool>()).prop_map(|(path, rest)| {
            if rest {
                format!("{}/{{*rest}}", path.trim_end_matches('/'))
            } else {
                path
            }
        });
        (
            prop::option::of("\\*\\.b|\\*\\.a\\.b|A\\.b|a\\.b|b"),
            (
                0..6,
                path(),
                template,
                prop::sample::select(vec!["/a.*", "/[ab]", "/b/.+"]),
            ),
            prop::collection::vec("GET|PUT", 0..2),
            prop::collection::vec(field(), 0..2),
            prop::collection::vec(field(), 0..2),
        )
            .prop_map(
                |(authority, (kind, path, template, regex), methods, headers, query)| RouteMatch {
                    authority,
                    path: (kind == 1).then(|| path.clone()),
                    path_prefix: (kind == 2).then(|| path.clone()),
                    path_template: (kind == 3 || kind == 4).then(|| template.clone()),
                    path_regex: (kind == 5).then(|| regex.to_owned()),
                    methods,
                    headers,
                    query,
                },
            )
    }

    type Request = (Option<String>, String, Method, HeaderMap, Option<String>);

    fn request() -> impl Strategy<Value = Request> {
        let headers = prop::collection::vec(("[xy]", "[12]{1,2}"), 0..3).prop_map(|all| {
            let mut headers = HeaderMap::new();
            for (name, value) in all {
                let name = if name == "x" { "x" } else { "y" };
                headers.append(name, HeaderValue::from_str(&value).unwrap());
            }
            headers
        });
        (
            prop::option::of("[aA]\\.b|b|a|b\\.a\\.B|\\.b|a\\.a\\.b"),
            path(),
            prop_oneof![Just(Method::GET), Just(Method::PUT), Just(Method::POST)],
            headers,
            prop::option::of("([xy]=[12]&?){0,2}"),
        )
    }

    fn asked(request: &Request) -> Asked<'_> {
        let (authority, path, method, headers, query) = request;
        Asked {
            authority: authority.as_deref(),
            method,
            path,
            query: query.as_deref(),
            headers,
        }
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_look_at_every_route_finds(
            routes in prop::collection::vec(condition(), 0..12), request in request(),
        ) {
            let routes: Vec<_> = routes.iter().map(|raw| Matcher::compile(raw).unwrap()).collect();
            let asked = asked(&request);
            let naive = routes.iter().position(|route| route.takes(&asked));
            prop_assert_eq!(Index::new(routes).find(&asked), naive);
        }

        #[test]
        fn a_route_that_covers_another_takes_all_of_its_requests(
            wide in condition(), narrow in condition(), request in request(),
        ) {
            let (wide, narrow) = (Matcher::compile(&wide).unwrap(), Matcher::compile(&narrow).unwrap());
            let asked = asked(&request);
            if covers(&wide, &narrow) && narrow.takes(&asked) {
                prop_assert!(wide.takes(&asked));
            }
        }
    }

    #[test]
    fn a_host_that_no_name_can_have_finds_routes_for_all_hosts() {
        let all = Matcher::compile(&RouteMatch::default()).unwrap();
        let long = "A.".repeat(2000);
        let request = (
            Some(long),
            "/".to_owned(),
            Method::GET,
            HeaderMap::new(),
            None,
        );
        assert_eq!(Index::new(vec![all]).find(&asked(&request)), Some(0));
    }
}
