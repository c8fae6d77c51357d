//! Which requests a rule is for: its conditions compiled, with what routes are
//! compiled with.

use http::{HeaderMap, HeaderName, Method, header::HOST};

use crate::{
    baggage,
    config::{Arm, FieldMatch, Rule},
    names,
    paths::normal,
    routing::{
        Flaw,
        field::Field,
        matcher::{PathMatch, each, keep, method},
    },
};

/// What the conditions of rules read of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a Method,
    /// As it was sent, without the query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// Name of the route.
    pub(crate) route: &'a str,
    /// Service that calls; `external`: none that the mesh knows.
    pub(crate) caller: &'a str,
    /// What the connection proves about it: a SPIFFE ID or a name.
    pub(crate) peer: Option<&'a str>,
}

/// The first condition that a request does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    /// As `match.methods` or `arm`.
    pub(crate) key: &'static str,
    /// Conditions that it met before.
    pub(crate) met: usize,
}

/// The conditions of a rule, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    /// None: they have problems, which nothing meets.
    conditions: Option<Conditions>,
}

/// What a rule asks for, in the order in which it is looked at: what is cheap comes
/// first, baggage last.
#[derive(Clone, Debug)]
struct Conditions {
    /// Empty: all.
    methods: Vec<Method>,
    route: Option<Box<str>>,
    /// Empty: all.
    callers: Vec<Box<str>>,
    path: PathMatch,
    headers: Vec<Field<HeaderName>>,
    /// The rule's id, where requests must name it.
    armed_by: Option<Box<str>>,
    baggage: Vec<Field<Box<str>>>,
}

impl Matcher {
    /// The conditions of a rule that was checked.
    pub(crate) fn of(rule: &Rule) -> Self {
        Self {
            conditions: Conditions::compile(rule).ok(),
        }
    }

    /// Reports all that is wrong with the conditions of a rule, by their keys below
    /// `match`.
    pub(crate) fn flaws(rule: &Rule) -> Vec<Flaw> {
        Conditions::compile(rule).err().unwrap_or_default()
    }

    /// Whether a request meets all conditions, or which one it does not.
    pub(crate) fn meets(&self, subject: &Subject<'_>) -> Result<(), Miss> {
        match &self.conditions {
            Some(conditions) => conditions.meets(subject),
            None => Err(Miss {
                key: "match",
                met: 0,
            }),
        }
    }
}

impl Conditions {
    fn compile(rule: &Rule) -> Result<Self, Vec<Flaw>> {
        let raw = &rule.matches;
        let mut flaws = Vec::new();
        let methods = each("methods", &raw.methods, method, &mut flaws);
        let path = PathMatch::one_of([
            ("path", &raw.path),
            ("path_prefix", &raw.path_prefix),
            ("path_template", &raw.path_template),
            ("path_regex", &raw.path_regex),
        ]);
        let path = keep(path, &mut flaws);
        let headers = each("headers", &raw.headers, header, &mut flaws);
        let baggage = each("baggage", &raw.baggage, member, &mut flaws);
        let armed_by = (rule.arm == Arm::Baggage).then(|| rule.id.as_str().into());
        match path {
            Some(path) if flaws.is_empty() => Ok(Self {
                methods,
                route: raw.route.as_deref().map(Into::into),
                callers: raw.callers.iter().map(|it| it.as_str().into()).collect(),
                path,
                headers,
                armed_by,
                baggage,
            }),
            _ => Err(flaws),
        }
    }

    fn meets(&self, subject: &Subject<'_>) -> Result<(), Miss> {
        let mut met = Met(0);
        if !self.methods.is_empty() {
            met.expect("match.methods", self.methods.contains(subject.method))?;
        }
        if let Some(route) = &self.route {
            met.expect("match.route", **route == *subject.route)?;
        }
        if !self.callers.is_empty() {
            met.expect("match.callers", self.calls(subject))?;
        }
        if let Some(key) = path_key(&self.path) {
            met.expect(key, self.path.takes(&normal(subject.path)))?;
        }
        for header in &self.headers {
            met.expect("match.headers", header.holds(subject.headers))?;
        }
        if let Some(id) = &self.armed_by {
            met.expect("arm", is_armed(id, subject.headers))?;
        }
        for field in &self.baggage {
            met.expect("match.baggage", baggage::holds(field, subject.headers))?;
        }
        Ok(())
    }

    fn calls(&self, subject: &Subject<'_>) -> bool {
        let mut wanted = self.callers.iter();
        wanted.any(|it| **it == *subject.caller || Some(&**it) == subject.peer)
    }
}

/// Key of the path that is asked for; none: any will do.
fn path_key(path: &PathMatch) -> Option<&'static str> {
    match path {
        PathMatch::Any => None,
        PathMatch::Exact(_) => Some("match.path"),
        PathMatch::Prefix(_) => Some("match.path_prefix"),
        PathMatch::Template(_) => Some("match.path_template"),
        PathMatch::Regex(_) => Some("match.path_regex"),
    }
}

/// Counts conditions that are met.
struct Met(usize);

impl Met {
    fn expect(&mut self, key: &'static str, holds: bool) -> Result<(), Miss> {
        if !holds {
            return Err(Miss { key, met: self.0 });
        }
        self.0 += 1;
        Ok(())
    }
}

fn header(raw: &FieldMatch) -> Result<Field<HeaderName>, Flaw> {
    let refused = |message: String| Err(Flaw::new("name", message));
    if raw.name.eq_ignore_ascii_case(HOST.as_str()) {
        return refused(
            "`Host` says only where a request goes: give an edge as `where`".to_owned(),
        );
    }
    let field = Field::header(raw)?;
    if names::is_written_by_sidecars(&field.name) {
        return refused(format!(
            "`{}` is written by sidecars for each other: `callers` says who calls",
            field.name
        ));
    }
    Ok(field)
}

fn member(raw: &FieldMatch) -> Result<Field<Box<str>>, Flaw> {
    if [baggage::CHAOS, baggage::FATE].contains(&raw.name.as_str()) {
        let message = format!(
            "`{}` is the mesh's own: `arm: baggage` asks for requests that name the rule",
            raw.name
        );
        return Err(Flaw::new("name", message));
    }
    Field::member(raw)
}

/// Whether a request's baggage names this rule.
fn is_armed(id: &str, headers: &HeaderMap) -> bool {
    let mut lists = baggage::members(headers).filter(|(key, _)| *key == baggage::CHAOS);
    lists.any(|(_, list)| list.split(':').any(|named| named.trim() == id))
}

/// The trace that draws are made for: that which the baggage names, as a replay does,
/// else the request's own.
pub(crate) fn fate(headers: &HeaderMap, trace_id: [u8; 16]) -> [u8; 16] {
    let mut named = baggage::members(headers).filter(|(key, _)| *key == baggage::FATE);
    named.find_map(|(_, text)| trace(&text)).unwrap_or(trace_id)
}

/// 32 hexadecimal digits that are not all 0.
fn trace(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits)?;
    (number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::{Matcher, Miss, Subject, fate};
    use crate::config::Rule;

    fn rule(yaml: &str) -> Rule {
        serde_saphyr::from_str(&format!("{{ id: slow, where: a, {yaml} }}")).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    fn meets(yaml: &str, pairs: &[(&'static str, &'static str)]) -> Result<(), Miss> {
        let headers = headers(pairs);
        Matcher::of(&rule(yaml)).meets(&Subject {
            method: &Method::POST,
            path: "/orders//7/",
            headers: &headers,
            route: "payments-post",
            caller: "orders",
            peer: Some("spiffe://shop/ns/default/sa/orders"),
        })
    }

    const SENT: &[(&str, &str)] = &[
        ("x-user", "ann"),
        ("baggage", "tester=ann, mesh.chaos=other:slow"),
    ];

    #[test]
    fn each_condition_is_met_or_named() {
        for (yaml, missed) in [
            ("", None),
            ("match: { methods: [GET, POST] }", None),
            ("match: { methods: [PURGE] }", Some("match.methods")),
            ("match: { route: payments-post }", None),
            ("match: { route: payments }", Some("match.route")),
            ("match: { callers: [gateway, orders] }", None),
            (
                "match: { callers: ['spiffe://shop/ns/default/sa/orders'] }",
                None,
            ),
            (
                "match: { callers: ['spiffe://shop/ns/default/sa/order'] }",
                Some("match.callers"),
            ),
            ("match: { path: /orders/7 }", None),
            ("match: { path: /orders }", Some("match.path")),
            ("match: { path_prefix: /orders }", None),
            ("match: { path_prefix: / }", None),
            ("match: { path_prefix: /order }", Some("match.path_prefix")),
            ("match: { path_template: '/orders/{id}' }", None),
            (
                "match: { path_template: '/{id}' }",
                Some("match.path_template"),
            ),
            ("match: { path_regex: '/orders/[0-9]' }", None),
            (
                "match: { path_regex: '/orders/[a-z]' }",
                Some("match.path_regex"),
            ),
            ("match: { headers: [{ name: X-User, exact: ann }] }", None),
            (
                "match: { headers: [{ name: x-user, exact: bob }] }",
                Some("match.headers"),
            ),
            ("match: { baggage: [{ name: tester, prefix: a }] }", None),
            (
                "match: { baggage: [{ name: tester, exact: a }] }",
                Some("match.baggage"),
            ),
            ("arm: baggage", None),
        ] {
            let key = meets(yaml, SENT).err().map(|miss| miss.key);
            assert_eq!(key, missed, "{yaml}");
        }
    }

    #[test]
    fn a_rule_is_armed_by_its_whole_id_alone() {
        for (sent, armed) in [
            ("mesh.chaos=slow", true),
            ("mesh.chaos=a:slow:b", true),
            ("mesh.chaos=a%3Aslow", true),
            ("mesh.chaos=a,mesh.chaos=slow", true),
            ("mesh.chaos=slower", false),
            ("mesh.chaos=", false),
            ("chaos=slow", false),
        ] {
            let met = meets("arm: baggage", &[("baggage", sent)]);
            assert_eq!(met.is_ok(), armed, "{sent}");
        }
        assert_eq!(meets("arm: baggage", &[]).unwrap_err().key, "arm");
    }

    #[test]
    fn a_miss_counts_the_conditions_before_it() {
        let conditions = "arm: baggage, match: { methods: [POST], callers: [orders], path: /orders/7, headers: [{ name: x-user }, { name: x-other }] }";
        let miss = meets(conditions, SENT).unwrap_err();
        assert_eq!((miss.key, miss.met), ("match.headers", 4));
        let miss = meets("match: { methods: [GET] }", SENT).unwrap_err();
        assert_eq!((miss.key, miss.met), ("match.methods", 0));
    }

    #[test]
    fn conditions_that_cannot_be_read_hold_for_nothing() {
        let miss = meets("match: { path_regex: '(' }", SENT).unwrap_err();
        assert_eq!(miss.key, "match");
    }

    #[test]
    fn fate_is_the_traces_own_unless_the_baggage_names_another() {
        let of = |sent: &'static str| fate(&headers(&[("baggage", sent)]), [1; 16]);
        let other = "mesh.fate=4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            of(other),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
        );
        for odd in [
            "mesh.fate=00000000000000000000000000000000",
            "mesh.fate=4bf92f3577b34da6a3ce929d0e0e473",
            "mesh.fate=+bf92f3577b34da6a3ce929d0e0e4736",
            "fate=4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(of(odd), [1; 16], "{odd}");
        }
        assert_eq!(fate(&headers(&[]), [1; 16]), [1; 16]);
    }
}
