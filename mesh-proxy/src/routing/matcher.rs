//! The conditions of one route.

use http::{HeaderName, Method};
use regex::Regex;

use super::{Asked, Flaw, LONGEST_HOST, field::Field, template::Template, whole_regex};
use crate::{
    config::RouteMatch,
    paths::{has_prefix, normalise},
};

/// The conditions of a route, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    pub(crate) authority: Authority,
    pub(crate) path: PathMatch,
    /// Empty: all.
    pub(crate) methods: Vec<Method>,
    pub(crate) headers: Vec<Field<HeaderName>>,
    pub(crate) query: Vec<Field<Box<str>>>,
}

/// Hosts of a route; in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// All, and requests without one.
    Any,
    /// This one.
    Exact(Box<str>),
    /// Those below this one: `*.example.org` without `*.`.
    Below(Box<str>),
}

/// Paths of a route.
#[derive(Clone, Debug)]
pub(crate) enum PathMatch {
    /// All.
    Any,
    /// This one.
    Exact(Box<str>),
    /// This one and all below; without slash at its end.
    Prefix(Box<str>),
    /// Those of this form.
    Template(Template),
    /// Those of this form.
    Regex(Regex),
}

impl Matcher {
    /// Compiles conditions, or reports all that is wrong with them.
    pub(crate) fn compile(raw: &RouteMatch) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let authority = keep(Authority::compile(raw.authority.as_deref()), &mut flaws);
        let path = keep(PathMatch::compile(raw), &mut flaws);
        let methods = each("methods", &raw.methods, method, &mut flaws);
        let headers = each("headers", &raw.headers, Field::header, &mut flaws);
        let query = each("query", &raw.query, Field::parameter, &mut flaws);
        match (authority, path) {
            (Some(authority), Some(path)) if flaws.is_empty() => Ok(Self {
                authority,
                path,
                methods,
                headers,
                query,
            }),
            _ => Err(flaws),
        }
    }

    /// Whether all conditions hold: what the index is held against.
    #[cfg(test)]
    pub(crate) fn takes(&self, asked: &Asked<'_>) -> bool {
        self.authority.takes(asked.authority)
            && self.path.takes(asked.path)
            && self.takes_rest(asked)
    }

    /// Whether the conditions hold that the index does not decide.
    pub(crate) fn takes_rest(&self, asked: &Asked<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(asked.method))
            && self.headers.iter().all(|it| it.holds(asked.headers))
            && self.query.iter().all(|it| it.holds(asked.query))
    }
}

impl Authority {
    fn compile(raw: Option<&str>) -> Result<Self, Flaw> {
        let Some(text) = raw else {
            return Ok(Self::Any);
        };
        let lower = text.to_ascii_lowercase();
        let (host, make): (&str, fn(Box<str>) -> Self) = match lower.strip_prefix("*.") {
            Some(below) => (below, Self::Below),
            None => (&lower, Self::Exact),
        };
        if is_host(host) {
            return Ok(make(host.into()));
        }
        Err(Flaw::new(
            "authority",
            format!(
                "`{text}` is no host: expected a name without scheme, port and path, as `payments` or `*.example.org`"
            ),
        ))
    }

    pub(crate) fn takes(&self, given: Option<&str>) -> bool {
        match (self, given) {
            (Self::Any, _) => true,
            (Self::Exact(wanted), Some(given)) => given.eq_ignore_ascii_case(wanted),
            (Self::Below(wanted), Some(given)) => is_below(given, wanted),
            (_, None) => false,
        }
    }
}

/// Whether a host has at least one label more than `above`.
pub(crate) fn is_below(host: &str, above: &str) -> bool {
    let Some(labels) = host.len().checked_sub(above.len() + 1) else {
        return false;
    };
    let (labels, end) = host.as_bytes().split_at(labels);
    !labels.is_empty() && end[0] == b'.' && end[1..].eq_ignore_ascii_case(above.as_bytes())
}

fn is_host(text: &str) -> bool {
    let is_v6 = || {
        let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        inner.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let is_name = || !text.contains([':', '/', '@', ' ', '*', '?', '#', '[', ']']);
    (1..=LONGEST_HOST).contains(&text.len()) && text.is_ascii() && (is_name() || is_v6())
}

impl PathMatch {
    fn compile(raw: &RouteMatch) -> Result<Self, Flaw> {
        Self::one_of([
            ("path", &raw.path),
            ("path_prefix", &raw.path_prefix),
            ("path_template", &raw.path_template),
            ("path_regex", &raw.path_regex),
        ])
    }

    /// Compiles the one kind that is given, each by its key; none: all paths.
    pub(crate) fn one_of(kinds: [(&str, &Option<String>); 4]) -> Result<Self, Flaw> {
        let mut given = kinds
            .into_iter()
            .filter_map(|(key, text)| Some((key, text.as_deref()?)));
        let Some((key, text)) = given.next() else {
            return Ok(Self::Any);
        };
        if let Some((other, _)) = given.next() {
            return Err(Flaw::new(
                "",
                format!("`{key}` and `{other}` are given: at most one kind of path can be matched"),
            ));
        }
        let compiled = match key {
            "path" => plain(text).map(Self::Exact),
            "path_prefix" => plain(
                text.strip_suffix('/')
                    .filter(|it| !it.is_empty())
                    .unwrap_or(text),
            )
            .map(|prefix| {
                if &*prefix == "/" {
                    Self::Any
                } else {
                    Self::Prefix(prefix)
                }
            }),
            "path_template" => Template::parse(text).map(Self::Template),
            _ => whole_regex(text).map(Self::Regex),
        };
        compiled.map_err(|message| Flaw::new(key, message))
    }

    pub(crate) fn takes(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => path == &**wanted,
            Self::Prefix(prefix) => has_prefix(path, prefix),
            Self::Template(template) => template.matches(path),
            Self::Regex(regex) => regex.is_match(path),
        }
    }

    /// The template, where there is one.
    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Self::Template(template) => Some(template),
            _ => None,
        }
    }
}

/// A path that can be compared with normal ones.
fn plain(text: &str) -> Result<Box<str>, String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` is no path: it must begin with `/`"));
    }
    let normal = normalise(text);
    if normal != text {
        return Err(format!(
            "`{text}` is not in the normal form that paths are compared in: write `{normal}`"
        ));
    }
    Ok(normal.into())
}

/// A method, known or not.
pub(crate) fn method(text: &String) -> Result<Method, Flaw> {
    let capitals = text.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    let method = Method::from_bytes(text.as_bytes()).ok();
    method.filter(|_| capitals).ok_or_else(|| {
        Flaw::new(
            "",
            format!("`{text}` is no method: expected capitals, as `GET`"),
        )
    })
}

/// What could be compiled.
pub(crate) fn keep<T>(result: Result<T, Flaw>, flaws: &mut Vec<Flaw>) -> Option<T> {
    result.map_err(|flaw| flaws.push(flaw)).ok()
}

/// Compiles all items of a list; what is wrong is reported by key and index.
pub(crate) fn each<Raw, T>(
    key: &str,
    items: &[Raw],
    compile: impl Fn(&Raw) -> Result<T, Flaw>,
    flaws: &mut Vec<Flaw>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match compile(item) {
            Ok(compiled) => all.push(compiled),
            Err(flaw) => {
                let dot = if flaw.key.is_empty() { "" } else { "." };
                let key = format!("{key}[{index}]{dot}{}", flaw.key);
                flaws.push(Flaw::new(key, flaw.message));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Authority, Matcher};
    use crate::config::RouteMatch;

    #[test]
    fn a_suffix_takes_names_below_it_and_not_itself() {
        let below = Authority::compile(Some("*.Example.org")).unwrap();
        for (host, wanted) in [
            (Some("a.example.ORG"), true),
            (Some("a.b.example.org"), true),
            (Some("example.org"), false),
            (Some(".example.org"), false),
            (Some("badexample.org"), false),
            (None, false),
        ] {
            assert_eq!(below.takes(host), wanted, "{host:?}");
        }
    }

    #[test]
    fn everything_wrong_is_reported_with_its_key() {
        let raw: RouteMatch = serde_saphyr::from_str(
            "{ authority: 'a:80', path: /a, path_prefix: /b, methods: [get], headers: [{ name: 'a b' }, { name: x, regex: '(' }], query: [{ name: q, exact: a, prefix: b }] }",
        )
        .unwrap();
        let flaws = Matcher::compile(&raw).unwrap_err();
        let keys: Vec<_> = flaws.iter().map(|flaw| flaw.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "authority",
                "",
                "methods[0]",
                "headers[0].name",
                "headers[1].regex",
                "query[0]"
            ]
        );
    }
}
