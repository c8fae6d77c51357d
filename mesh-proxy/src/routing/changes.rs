//! What a route changes about its requests and their answers.

use std::collections::BTreeMap;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
    uri::{Authority, PathAndQuery},
};

use super::{
    Flaw,
    matcher::PathMatch,
    pattern::{Old, Pattern, push},
};
use crate::{
    config::{HeaderChanges, Rewrite, Route},
    names,
    paths::normal,
};

/// All changes of a route.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    authority: Option<(Authority, HeaderValue)>,
    path: Option<NewPath>,
    request: Edits,
    response: Edits,
}

/// How a path becomes another.
#[derive(Clone, Debug)]
enum NewPath {
    /// So many bytes at the beginning of the normal path are replaced.
    Prefix(usize, Box<str>),
    /// All of it is.
    Whole(Pattern),
}

/// The new path would be longer than a URI can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Changes {
    /// Compiles what a route changes; none: nothing.
    pub(crate) fn compile(raw: &Route, path: &PathMatch) -> Result<Option<Self>, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let rewrite = raw.rewrite.as_ref();
        let changes = Self {
            authority: rewrite.and_then(|raw| new_authority(raw, &mut flaws)),
            path: rewrite.and_then(|it| new_path(it, raw, path, &mut flaws)),
            request: Edits::compile("request_headers", &raw.request_headers, &mut flaws),
            response: Edits::compile("response_headers", &raw.response_headers, &mut flaws),
        };
        if flaws.is_empty() {
            Ok(Some(changes).filter(|it| !it.is_nothing()))
        } else {
            Err(flaws)
        }
    }

    fn is_nothing(&self) -> bool {
        self.authority.is_none()
            && self.path.is_none()
            && self.request.is_nothing()
            && self.response.is_nothing()
    }

    /// The new authority; none: it stays.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority
            .as_ref()
            .map(|(_, value)| value.to_str().unwrap_or_default())
    }

    /// The new URI; none: it stays.
    pub(crate) fn uri(&self, uri: &Uri) -> Option<Result<Uri, TooLong>> {
        let path = self.path.as_ref().map(|path| path.of(uri));
        let authority = self
            .authority
            .as_ref()
            .filter(|_| uri.authority().is_some())
            .map(|(authority, _)| authority);
        if path.is_none() && authority.is_none() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        if let Some(authority) = authority {
            parts.authority = Some(authority.clone());
        }
        if let Some(path) = path {
            let Ok(path) = PathAndQuery::try_from(path) else {
                return Some(Err(TooLong)); // its characters are fine: only the length is not
            };
            parts.path_and_query = Some(path);
        }
        Some(Uri::from_parts(parts).map_err(|_| TooLong))
    }

    /// Changes the headers of a request.
    pub(crate) fn edit_request(&self, headers: &mut HeaderMap) {
        if let Some((_, host)) = &self.authority {
            headers.insert(HOST, host.clone());
        }
        self.request.apply(headers);
    }

    /// Changes the headers of an answer.
    pub(crate) fn edit_response(&self, headers: &mut HeaderMap) {
        self.response.apply(headers);
    }
}

impl NewPath {
    /// New path and old query of a URI.
    fn of(&self, uri: &Uri) -> String {
        let raw = uri.path();
        let normal = normal(raw);
        let path = Old::of(&normal);
        let mut to = String::with_capacity(raw.len() + uri.query().map_or(0, str::len) + 64);
        match self {
            Self::Prefix(length, prefix) => replace_prefix(raw, &path, *length, prefix, &mut to),
            Self::Whole(pattern) => pattern.render(&path, &mut to),
        }
        if let Some(query) = uri.query() {
            to.push('?');
            to.push_str(query);
        }
        to
    }
}

fn replace_prefix(raw: &str, path: &Old<'_>, length: usize, prefix: &str, to: &mut String) {
    to.push_str(prefix);
    let left = path.normal.get(length..).unwrap_or_default();
    push(left.strip_suffix('/').unwrap_or(left), path, to);
    // Not part of the normal form, but of what many applications look at.
    if to.is_empty() || (raw.ends_with('/') && !to.ends_with('/')) {
        to.push('/');
    }
}

fn new_authority(raw: &Rewrite, flaws: &mut Vec<Flaw>) -> Option<(Authority, HeaderValue)> {
    let text = raw.authority.as_deref()?;
    let parsed = text
        .parse::<Authority>()
        .ok()
        .filter(|it| !it.as_str().contains('@'))
        .zip(HeaderValue::from_str(text).ok());
    if parsed.is_none() {
        let message = format!("`{text}` is no authority: expected a host, with or without port");
        flaws.push(Flaw::new("rewrite.authority", message));
    }
    parsed
}

fn new_path(
    rewrite: &Rewrite,
    route: &Route,
    path: &PathMatch,
    flaws: &mut Vec<Flaw>,
) -> Option<NewPath> {
    match (&rewrite.path_prefix, &rewrite.path) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            let message = "`path` and `path_prefix` are given: keep one";
            flaws.push(Flaw::new("rewrite", message));
            None
        }
        (Some(prefix), None) => {
            let new = new_prefix(prefix, route, path);
            new.map_err(|message| flaws.push(Flaw::new("rewrite.path_prefix", message)))
                .ok()
        }
        (None, Some(text)) => Pattern::parse(text, path)
            .map(NewPath::Whole)
            .map_err(|message| flaws.push(Flaw::new("rewrite.path", message)))
            .ok(),
    }
}

fn new_prefix(text: &str, route: &Route, path: &PathMatch) -> Result<NewPath, String> {
    if route.matches.path_prefix.is_none() {
        return Err("it stands for the `path_prefix` of the match, and there is none: give one, or use `path`".to_owned());
    }
    Pattern::parse(text, &PathMatch::Any)?; // nothing is named here, and the same characters are fine
    let length = match path {
        PathMatch::Prefix(prefix) => prefix.len(),
        _ => 0,
    };
    let prefix = text.strip_suffix('/').unwrap_or(text);
    Ok(NewPath::Prefix(length, prefix.into()))
}

/// Changes to the headers of one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl Edits {
    /// Compiles changes; what is wrong is reported below `key`.
    pub(crate) fn compile(key: &str, raw: &HeaderChanges, flaws: &mut Vec<Flaw>) -> Self {
        let mut remove = Vec::with_capacity(raw.remove.len());
        for (index, text) in raw.remove.iter().enumerate() {
            match name(text) {
                Ok(name) => remove.push(name),
                Err(message) => flaws.push(Flaw::new(format!("{key}.remove[{index}]"), message)),
            }
        }
        Self {
            remove,
            set: pairs(&format!("{key}.set"), &raw.set, flaws),
            add: pairs(&format!("{key}.add"), &raw.add, flaws),
        }
    }

    fn is_nothing(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Changes headers.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

fn pairs(
    key: &str,
    raw: &BTreeMap<String, String>,
    flaws: &mut Vec<Flaw>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut all = Vec::with_capacity(raw.len());
    for (text, value) in raw {
        let value = HeaderValue::from_str(value).map_err(|_| {
            format!(
                "`{}` cannot be the value of a header",
                value.escape_default()
            )
        });
        match name(text).and_then(|name| Ok((name, value?))) {
            Ok(pair) => all.push(pair),
            Err(message) => flaws.push(Flaw::new(format!("{key}.{text}"), message)),
        }
    }
    all
}

/// A header that a route or a rule may change.
fn name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("`{text}` is no name of a header"))?;
    if name == HOST {
        return Err("`Host` is changed by a route's `rewrite: { authority: … }`".to_owned());
    }
    if names::is_written_by_sidecars(&name) || name == "traceparent" {
        return Err(format!("`{name}` is written by sidecars for each other"));
    }
    if belongs_to_connection(&name) {
        return Err(format!(
            "`{name}` speaks about one connection or about the frame of a message, which the sidecar makes itself"
        ));
    }
    Ok(name)
}

fn belongs_to_connection(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 8] = [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    NAMES.contains(name) || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::{Changes, Flaw};
    use crate::{config::Route, routing::Matcher};

    fn compiled(yaml: &str) -> Result<Option<Changes>, Vec<Flaw>> {
        let route: Route =
            serde_saphyr::from_str(&format!("{{ name: a, cluster: a, {yaml} }}")).unwrap();
        Changes::compile(&route, &Matcher::compile(&route.matches).unwrap().path)
    }

    fn rewritten(yaml: &str, uri: &str) -> String {
        let changes = compiled(yaml).unwrap().unwrap();
        changes
            .uri(&uri.parse().unwrap())
            .unwrap()
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_prefix_is_replaced_and_the_rest_stays() {
        let yaml = "match: { path_prefix: /api }, rewrite: { path_prefix: /v2 }";
        for (uri, wanted) in [
            ("/api", "/v2"),
            ("/api/", "/v2/"),
            ("/api/users/7?x=1", "/v2/users/7?x=1"),
            ("/api/users/", "/v2/users/"),
            ("//api/a%20b", "/v2/a%20b"),
            ("http://shop:80/api/x", "http://shop:80/v2/x"),
        ] {
            assert_eq!(rewritten(yaml, uri), wanted);
        }
        let away = "match: { path_prefix: /api }, rewrite: { path_prefix: / }";
        assert_eq!(rewritten(away, "/api"), "/");
        assert_eq!(rewritten(away, "/api/x"), "/x");
        let in_front = "match: { path_prefix: / }, rewrite: { path_prefix: /v2 }";
        assert_eq!(rewritten(in_front, "/x"), "/v2/x");
        assert_eq!(rewritten(in_front, "/"), "/v2/");
    }

    #[test]
    fn an_authority_replaces_that_of_the_absolute_form() {
        let yaml = "rewrite: { authority: 'legacy:8080' }";
        assert_eq!(rewritten(yaml, "http://shop/x"), "http://legacy:8080/x");
        let changes = compiled(yaml).unwrap().unwrap();
        assert!(changes.uri(&"/x".parse().unwrap()).is_none());
        assert_eq!(changes.authority(), Some("legacy:8080"));
    }

    #[test]
    fn a_path_that_grows_beyond_a_uri_is_an_error() {
        let changes = compiled("match: { path_prefix: /a }, rewrite: { path_prefix: /longer }");
        let uri = format!("/a/{}", "x".repeat(65_530)).parse().unwrap();
        assert!(changes.unwrap().unwrap().uri(&uri).unwrap().is_err());
    }

    #[test]
    fn headers_that_are_not_the_routes_cannot_be_changed() {
        let flaws = compiled(
            "rewrite: { authority: 'a b', path_prefix: /x }, \
             request_headers: { set: { Host: a, x-fine: 'a' }, add: { x-mesh-source: a, 'x y': b }, remove: [Upgrade] }, \
             response_headers: { set: { content-length: '1', x-bad: \"a\\nb\" } }",
        )
        .unwrap_err();
        let keys: Vec<_> = flaws.iter().map(|flaw| flaw.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "rewrite.authority",
                "rewrite.path_prefix",
                "request_headers.remove[0]",
                "request_headers.set.Host",
                "request_headers.add.x mesh",
                "request_headers.add.x-mesh-source",
                "response_headers.set.content-length",
                "response_headers.set.x-bad"
            ]
            .map(|key| if key == "request_headers.add.x mesh" {
                "request_headers.add.x y"
            } else {
                key
            })
        );
    }

    #[test]
    fn a_route_without_changes_has_none() {
        assert!(compiled("match: { path: /x }").unwrap().is_none());
    }
}
