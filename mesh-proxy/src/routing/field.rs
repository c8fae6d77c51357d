//! Conditions for headers and parameters of the query.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use regex::Regex;

use super::{Flaw, whole_regex};
use crate::{baggage, config::FieldMatch};

/// A condition for the field of this name. It holds when one of the field's values is
/// wanted; inverted, when none is, also because there is none.
#[derive(Clone, Debug)]
pub(crate) struct Field<Name> {
    pub(crate) name: Name,
    pub(crate) wanted: Wanted,
    pub(crate) invert: bool,
}

/// Which values are wanted.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// Any.
    Present,
    /// This one.
    Exact(Box<str>),
    /// Those that begin so.
    Prefix(Box<str>),
    /// Those of this form.
    Regex(Regex),
}

impl Wanted {
    fn compile(raw: &FieldMatch) -> Result<Self, Flaw> {
        match (&raw.exact, &raw.prefix, &raw.regex) {
            (None, None, None) => Ok(Self::Present),
            (Some(text), None, None) => Ok(Self::Exact(text.as_str().into())),
            (None, Some(text), None) => Ok(Self::Prefix(text.as_str().into())),
            (None, None, Some(text)) => whole_regex(text)
                .map(Self::Regex)
                .map_err(|message| Flaw::new("regex", message)),
            _ => Err(Flaw::new(
                "",
                "more than one of `exact`, `prefix` and `regex` is given: keep one",
            )),
        }
    }

    pub(crate) fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Regex(regex) => {
                std::str::from_utf8(value).is_ok_and(|value| regex.is_match(value))
            }
        }
    }
}

impl Field<HeaderName> {
    pub(crate) fn header(raw: &FieldMatch) -> Result<Self, Flaw> {
        let name: HeaderName = raw
            .name
            .parse()
            .map_err(|_| Flaw::new("name", format!("`{}` is no name of a header", raw.name)))?;
        if name == http::header::HOST {
            let message = "`Host` is matched by `authority`, in HTTP/1.1 and HTTP/2 alike";
            return Err(Flaw::new("name", message));
        }
        Ok(Self {
            name,
            wanted: Wanted::compile(raw)?,
            invert: raw.invert,
        })
    }

    pub(crate) fn holds(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        values.any(|value| self.wanted.accepts(value.as_bytes())) != self.invert
    }
}

impl Field<Box<str>> {
    pub(crate) fn parameter(raw: &FieldMatch) -> Result<Self, Flaw> {
        if raw.name.is_empty() {
            return Err(Flaw::new("name", "a parameter needs a name"));
        }
        Self::named(raw)
    }

    /// A condition for a member of the baggage.
    pub(crate) fn member(raw: &FieldMatch) -> Result<Self, Flaw> {
        if !baggage::is_key(&raw.name) {
            let message = format!("`{}` is no key of a member of the baggage", raw.name);
            return Err(Flaw::new("name", message));
        }
        Self::named(raw)
    }

    fn named(raw: &FieldMatch) -> Result<Self, Flaw> {
        Ok(Self {
            name: raw.name.as_str().into(),
            wanted: Wanted::compile(raw)?,
            invert: raw.invert,
        })
    }

    pub(crate) fn holds(&self, query: Option<&str>) -> bool {
        let mut values = parameters(query)
            .filter(|(name, _)| decoded(name) == *self.name)
            .map(|(_, value)| value);
        values.any(|value| self.wanted.accepts(decoded(value).as_bytes())) != self.invert
    }
}

fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or_default().split('&');
    pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// As forms write it: escapes and `+` for a space. Copied only where there are any.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(crate::paths::decode_once(&text.replace('+', " ")))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::Field;
    use crate::config::FieldMatch;

    fn raw(yaml: &str) -> FieldMatch {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn one_value_of_several_is_enough_and_inverted_none_may_be_wanted() {
        let mut headers = HeaderMap::new();
        for value in ["blue", "green-2"] {
            headers.append("x-color", HeaderValue::from_static(value));
        }
        for (yaml, wanted) in [
            ("{ name: X-Color }", true),
            ("{ name: x-color, invert: true }", false),
            ("{ name: x-color, exact: blue }", true),
            ("{ name: x-color, exact: blu }", false),
            ("{ name: x-color, exact: blue, invert: true }", false),
            ("{ name: x-color, exact: red, invert: true }", true),
            ("{ name: x-color, prefix: green }", true),
            ("{ name: x-color, regex: 'green-[0-9]' }", true),
            ("{ name: x-color, regex: 'green' }", false),
            ("{ name: x-other }", false),
            ("{ name: x-other, exact: a, invert: true }", true),
        ] {
            let field = Field::<HeaderName>::header(&raw(yaml)).unwrap();
            assert_eq!(field.holds(&headers), wanted, "{yaml}");
        }
    }

    #[test]
    fn parameters_are_compared_as_what_they_mean() {
        for (yaml, query, wanted) in [
            ("{ name: q, exact: 'a b' }", Some("x=1&q=a+b"), true),
            ("{ name: q, exact: 'a b' }", Some("q=a%20b"), true),
            ("{ name: q }", Some("q"), true),
            ("{ name: q, exact: '' }", Some("q="), true),
            ("{ name: q }", Some("qq=1"), false),
            ("{ name: q }", None, false),
            ("{ name: q, invert: true }", None, true),
        ] {
            let field = Field::parameter(&raw(yaml)).unwrap();
            assert_eq!(field.holds(query), wanted, "{yaml} {query:?}");
        }
    }
}
