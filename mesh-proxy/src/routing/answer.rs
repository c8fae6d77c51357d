//! Answers that a route gives without asking anybody.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, LOCATION},
    uri::{Authority, Scheme},
};

use super::{
    Flaw,
    matcher::PathMatch,
    pattern::{Old, Pattern},
};
use crate::{
    body::{Body, Response},
    config::{self, Route},
    paths::normal,
};

/// An answer in the making.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Respond(Respond),
    Redirect(Redirect),
}

/// The same for every request.
#[derive(Clone, Debug)]
pub(crate) struct Respond {
    status: StatusCode,
    body: Bytes,
    content_type: HeaderValue,
}

/// The way to somewhere else.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    status: StatusCode,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<Pattern>,
}

impl Answer {
    /// Compiles the answer of a route; none: a cluster gives it.
    pub(crate) fn compile(raw: &Route, path: &PathMatch) -> Result<Option<Self>, Vec<Flaw>> {
        match (&raw.respond, &raw.redirect) {
            (Some(respond), _) => Respond::compile(respond).map(|it| Some(Self::Respond(it))),
            (None, Some(redirect)) => {
                Redirect::compile(redirect, path).map(|it| Some(Self::Redirect(it)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Bounded code in `x-mesh-reason`, spans and logs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Respond(_) => "direct_response",
            Self::Redirect(_) => "redirect",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Respond(respond) => respond.status,
            Self::Redirect(redirect) => redirect.status,
        }
    }

    /// Where a redirect points to.
    pub(crate) fn location(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        match self {
            Self::Respond(_) => None,
            Self::Redirect(redirect) => Some(redirect.location(uri, headers)),
        }
    }

    /// The answer to one request.
    pub(crate) fn response(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let mut response = Response::default();
        if let Self::Respond(respond) = self {
            *response.body_mut() = Body::from(respond.body.clone());
            if !respond.body.is_empty() {
                let kind = respond.content_type.clone();
                response.headers_mut().insert(CONTENT_TYPE, kind);
            }
        }
        let location = self.location(uri, headers);
        if let Some(location) = location.and_then(|it| HeaderValue::try_from(it).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        *response.status_mut() = self.status();
        response
    }
}

impl Respond {
    fn compile(raw: &config::Respond) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let status = StatusCode::from_u16(raw.status)
            .ok()
            .filter(|status| (200..=599).contains(&status.as_u16()));
        if status.is_none() {
            let message = format!("{} is no final status: expected 200 to 599", raw.status);
            flaws.push(Flaw::new("respond.status", message));
        }
        if !raw.body.is_empty() && [204, 304].contains(&raw.status) {
            let message = format!("an answer of status {} has no body", raw.status);
            flaws.push(Flaw::new("respond.body", message));
        }
        let content_type = HeaderValue::from_str(&raw.content_type).ok();
        if content_type.is_none() {
            let message = format!("`{}` cannot be a header", raw.content_type.escape_default());
            flaws.push(Flaw::new("respond.content_type", message));
        }
        match (status, content_type) {
            (Some(status), Some(content_type)) if flaws.is_empty() => Ok(Self {
                status,
                content_type,
                body: raw.body.clone().into(),
            }),
            _ => Err(flaws),
        }
    }
}

impl Redirect {
    fn compile(raw: &config::Redirect, path: &PathMatch) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        if raw.scheme.is_none() && raw.authority.is_none() && raw.path.is_none() {
            let message =
                "it leads back to where it came from: give `scheme`, `authority` or `path`";
            flaws.push(Flaw::new("redirect", message));
        }
        let mut flaw = |key, message| flaws.push(Flaw::new(key, message));
        let status = [301, 302, 303, 307, 308]
            .contains(&raw.status)
            .then_some(raw.status);
        if status.is_none() {
            flaw(
                "redirect.status",
                format!(
                    "{} is no redirect: expected 301, 302, 303, 307 or 308",
                    raw.status
                ),
            );
        }
        let scheme = raw.scheme.as_deref().map(|text| match text {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            other => {
                flaw(
                    "redirect.scheme",
                    format!("`{other}` is no scheme: expected `http` or `https`"),
                );
                Scheme::HTTP
            }
        });
        let authority = raw.authority.as_deref().and_then(|text| {
            let authority = text
                .parse::<Authority>()
                .ok()
                .filter(|it| !it.as_str().contains('@'));
            if authority.is_none() {
                flaw(
                    "redirect.authority",
                    format!("`{text}` is no authority: expected a host, with or without port"),
                );
            }
            authority
        });
        let path = raw.path.as_deref().and_then(|text| {
            Pattern::parse(text, path)
                .map_err(|message| flaw("redirect.path", message))
                .ok()
        });
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        match status {
            Some(status) if flaws.is_empty() => Ok(Self {
                status,
                scheme,
                authority,
                path,
            }),
            _ => Err(flaws),
        }
    }

    /// Absolute where the request says which host it is for: a path alone that began
    /// with two slashes would lead to another host.
    fn location(&self, uri: &Uri, headers: &HeaderMap) -> String {
        let asked = uri.scheme().unwrap_or(&Scheme::HTTP);
        let scheme = self.scheme.as_ref().unwrap_or(asked);
        let own = self.authority.as_ref().map(Authority::as_str);
        let authority = own.or_else(|| asked_for(uri, headers, scheme == asked));
        let mut to = match authority {
            Some(authority) => format!("{scheme}://{authority}"),
            None => String::new(),
        };
        let length = to.len();
        match &self.path {
            Some(pattern) => pattern.render(&Old::of(&normal(uri.path())), &mut to),
            None => to.push_str(uri.path()),
        }
        if length == 0 {
            let slashes = to.len() - to.trim_start_matches('/').len();
            to.drain(..slashes.saturating_sub(1));
        }
        if let Some(query) = uri.query() {
            to.push('?');
            to.push_str(query);
        }
        to
    }
}

/// The authority of a request. Its port belongs to its scheme.
fn asked_for<'a>(uri: &'a Uri, headers: &'a HeaderMap, with_port: bool) -> Option<&'a str> {
    if !with_port {
        return crate::policy::authority(uri, headers);
    }
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some(authority).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::HOST};

    use super::{Answer, Flaw};
    use crate::{config::Route, routing::Matcher};

    fn compiled(yaml: &str) -> Result<Option<Answer>, Vec<Flaw>> {
        let route: Route = serde_saphyr::from_str(&format!("{{ name: a, {yaml} }}")).unwrap();
        Answer::compile(&route, &Matcher::compile(&route.matches).unwrap().path)
    }

    fn location(yaml: &str, uri: &str, host: Option<&'static str>) -> String {
        let host = host.map(|host| (HOST, HeaderValue::from_static(host)));
        let headers = HeaderMap::from_iter(host);
        let answer = compiled(yaml).unwrap().unwrap();
        answer.location(&uri.parse().unwrap(), &headers).unwrap()
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        for (redirect, wanted) in [
            ("{ scheme: https }", "https://shop/old?x=1"),
            ("{ authority: 'new:81' }", "http://new:81/old?x=1"),
            ("{ path: /new }", "http://shop:80/new?x=1"),
        ] {
            let yaml = format!("redirect: {redirect}");
            assert_eq!(location(&yaml, "/old?x=1", Some("shop:80")), wanted);
        }
    }

    #[test]
    fn a_redirect_uses_what_the_match_names_and_never_leads_to_another_host() {
        let yaml = "match: { path_regex: '/old(.*)' }, redirect: { path: '/$1' }";
        assert_eq!(location(yaml, "/old/evil.com", None), "/evil.com");
        assert_eq!(location(yaml, "/old/x", Some("shop")), "http://shop//x");
        let yaml = "match: { path_template: '/o/{id}' }, redirect: { path: '/v2/{id}' }";
        assert_eq!(location(yaml, "/o/7", None), "/v2/7");
    }

    #[test]
    fn flaws_of_answers_are_reported_with_their_keys() {
        for (yaml, keys) in [
            ("respond: { status: 99 }", vec!["respond.status"]),
            ("respond: { status: 204, body: x }", vec!["respond.body"]),
            (
                "respond: { status: 200, content_type: \"a\\n\" }",
                vec!["respond.content_type"],
            ),
            ("redirect: {}", vec!["redirect"]),
            (
                "redirect: { status: 304, scheme: ftp, authority: 'a/b', path: x }",
                vec![
                    "redirect.status",
                    "redirect.scheme",
                    "redirect.authority",
                    "redirect.path",
                ],
            ),
        ] {
            let flaws = compiled(yaml).unwrap_err();
            let found: Vec<_> = flaws.iter().map(|flaw| flaw.key.as_str()).collect();
            assert_eq!(found, keys, "{yaml}");
        }
    }
}
