//! Why a route does not take a request.

use crate::{
    config::{FieldMatch, Route},
    routing::{Asked, Matcher},
};

/// The first condition that does not hold; none: the route takes the request.
pub(super) fn not(route: &Route, matcher: &Matcher, asked: &Asked<'_>) -> Option<String> {
    let raw = &route.matches;
    if !matcher.authority.takes(asked.authority) {
        let wanted = raw.authority.as_deref().unwrap_or_default();
        return Some(match asked.authority {
            Some(given) => format!("the authority is `{given}`, not `{wanted}`"),
            None => format!("there is no authority, and it wants `{wanted}`"),
        });
    }
    if !matcher.path.takes(asked.path) {
        let wanted = [&raw.path, &raw.path_template, &raw.path_regex];
        let wanted = wanted.into_iter().find_map(Option::as_deref);
        return Some(match (&raw.path_prefix, wanted) {
            (Some(prefix), _) => format!("the path `{}` is not below `{prefix}`", asked.path),
            (None, wanted) => {
                let wanted = wanted.unwrap_or_default();
                format!("the path `{}` is not `{wanted}`", asked.path)
            }
        });
    }
    if !matcher.methods.is_empty() && !matcher.methods.contains(asked.method) {
        return Some(format!(
            "the method is {}, not {}",
            asked.method,
            raw.methods.join(" or ")
        ));
    }
    field(route, matcher, asked)
}

fn field(route: &Route, matcher: &Matcher, asked: &Asked<'_>) -> Option<String> {
    let raw = &route.matches;
    let headers = raw.headers.iter().zip(&matcher.headers);
    let header = headers
        .into_iter()
        .find(|(_, compiled)| !compiled.holds(asked.headers))
        .map(|(raw, _)| format!("the header {}", unmet(raw)));
    let query = raw.query.iter().zip(&matcher.query);
    header.or_else(|| {
        query
            .into_iter()
            .find(|(_, compiled)| !compiled.holds(asked.query))
            .map(|(raw, _)| format!("the parameter {}", unmet(raw)))
    })
}

fn unmet(field: &FieldMatch) -> String {
    let wanted = [
        ("", &field.exact),
        ("begins with ", &field.prefix),
        ("has the form ", &field.regex),
    ];
    let wanted = wanted
        .into_iter()
        .find_map(|(words, value)| Some((words, value.as_deref()?)));
    let name = &field.name;
    match (wanted, field.invert) {
        (None, false) => format!("`{name}` is missing"),
        (None, true) => format!("`{name}` is there"),
        (Some((words, value)), false) => {
            format!("`{name}` is not one that is wanted: {words}`{value}`")
        }
        (Some((words, value)), true) => {
            format!("`{name}` is one that is not wanted: {words}`{value}`")
        }
    }
}
