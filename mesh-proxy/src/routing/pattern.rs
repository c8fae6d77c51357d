//! New paths made of parts of the old one: `/v2/orders/{id}`, `/v2/$1`.

use std::borrow::Cow;

use regex::Regex;

use super::{
    matcher::PathMatch,
    template::{Position, Template},
};

/// A path in the making.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    /// Whose groups the pieces name.
    regex: Option<Regex>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<str>),
    /// Named by the template.
    Part(Position),
    /// Of the expression.
    Group(usize),
}

impl Pattern {
    /// Reads a pattern that may use what the path of the match names; the error says
    /// what is wrong.
    pub(crate) fn parse(text: &str, path: &PathMatch) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("`{text}` is no path: it must begin with `/`"));
        }
        let (pieces, regex) = match path {
            PathMatch::Template(template) => (of_template(text, template)?, None),
            PathMatch::Regex(regex) => (of_regex(text, regex)?, Some(regex.clone())),
            _ => (vec![Piece::Text(text.into())], None),
        };
        for piece in &pieces {
            if let Piece::Text(part) = piece {
                check_text(text, part)?;
            }
        }
        Ok(Self { pieces, regex })
    }

    /// Writes the new path of a request whose path, in normal form, is this.
    pub(crate) fn render(&self, path: &Old<'_>, to: &mut String) {
        let groups = self
            .regex
            .as_ref()
            .and_then(|regex| regex.captures(path.normal));
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Part(position) => push(position.of(path.normal), path, to),
                Piece::Group(number) => {
                    let group = groups.as_ref().and_then(|groups| groups.get(*number));
                    push(group.map_or("", |group| group.as_str()), path, to);
                }
            }
        }
    }
}

/// The path that another is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old<'a> {
    /// In normal form.
    pub(crate) normal: &'a str,
    /// Whether that differs from what came: it may hold what a path cannot.
    pub(crate) decoded: bool,
}

impl<'a> Old<'a> {
    #[expect(clippy::ptr_arg, reason = "whether it is owned is what is asked")]
    pub(crate) fn of(normal: &'a Cow<'_, str>) -> Self {
        Self {
            normal,
            decoded: matches!(normal, Cow::Owned(_)),
        }
    }
}

/// Appends a part of a normal path.
pub(crate) fn push(part: &str, path: &Old<'_>, to: &mut String) {
    if path.decoded {
        escape(part, to);
    } else {
        to.push_str(part);
    }
}

/// Percent-encodes what cannot stand in a path (RFC 3986, 3.3).
fn escape(text: &str, to: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.push(char::from(HEX[usize::from(byte >> 4)]));
            to.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

fn of_template(text: &str, template: &Template) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`{text}`: a `{{` is never closed"));
        };
        let name = name.strip_prefix('*').unwrap_or(name);
        let position = template.position(name).ok_or_else(|| {
            let known: Vec<&str> = template.names().collect();
            format!(
                "`{text}`: `{}` names no segment `{name}`; it has: {}",
                template.text(),
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            )
        })?;
        pieces.extend([Piece::Text(before.into()), Piece::Part(position)]);
        left = after;
    }
    pieces.push(Piece::Text(left.into()));
    Ok(pieces)
}

/// `$1`, `$name`, `${name}`; `$$` for the sign itself.
fn of_regex(text: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once('$') {
        pieces.push(Piece::Text(before.into()));
        if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text("$".into()));
            left = after;
            continue;
        }
        let (name, after) = group_name(after);
        pieces.push(Piece::Group(group(name, regex).ok_or_else(|| {
            format!(
                "`{text}`: `path_regex` has no group `${name}`; it has {} (write `$$` for a plain `$`)",
                regex.captures_len() - 1
            )
        })?));
        left = after;
    }
    pieces.push(Piece::Text(left.into()));
    Ok(pieces)
}

fn group_name(text: &str) -> (&str, &str) {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|it| it.split_once('}')) {
        return (name, after);
    }
    // A number ends with its digits, so that `$1st` is the first group and `st`.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let belongs =
        |c: char| c.is_ascii_digit() || (!is_number && (c.is_ascii_alphanumeric() || c == '_'));
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn group(name: &str, regex: &Regex) -> Option<usize> {
    match name.parse::<usize>() {
        Ok(number) => Some(number).filter(|number| *number < regex.captures_len()),
        Err(_) => regex.capture_names().position(|it| it == Some(name)),
    }
}

fn check_text(whole: &str, part: &str) -> Result<(), String> {
    let odd = |c: char| c.is_ascii_control() || !c.is_ascii() || " ?#{}\"<>\\^`|".contains(c);
    match part.chars().find(|c| odd(*c)) {
        None => Ok(()),
        Some(found) => Err(format!(
            "`{whole}`: `{}` cannot stand in a path; the query stays as it is, names in `{{…}}` need a `path_template`",
            found.escape_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Old, PathMatch, Pattern};
    use crate::{
        paths::normal,
        routing::{template::Template, whole_regex},
    };

    fn rendered(pattern: &str, matches: &PathMatch, path: &str) -> String {
        let mut to = String::new();
        Pattern::parse(pattern, matches)
            .unwrap()
            .render(&Old::of(&normal(path)), &mut to);
        to
    }

    #[test]
    fn segments_and_groups_go_into_the_new_path() {
        let template = PathMatch::Template(Template::parse("/orders/{id}/{*rest}").unwrap());
        assert_eq!(
            rendered("/v2/{rest}/of/{id}", &template, "/orders/7/a/b"),
            "/v2/a/b/of/7"
        );
        let regex = PathMatch::Regex(whole_regex("/u/(?<who>[a-z]+)/([0-9]+)").unwrap());
        assert_eq!(rendered("/$2x/${who}$$", &regex, "/u/ann/7"), "/7x/ann$");
        assert_eq!(rendered("/$$1", &PathMatch::Any, "/x"), "/$$1");
    }

    #[test]
    fn what_was_decoded_is_encoded_again() {
        let template = PathMatch::Template(Template::parse("/orders/{id}").unwrap());
        assert_eq!(
            rendered("/v2/{id}", &template, "/orders/a%20b%3Fc"),
            "/v2/a%20b%3Fc"
        );
    }

    #[test]
    fn names_that_do_not_exist_are_refused() {
        let template = PathMatch::Template(Template::parse("/orders/{id}").unwrap());
        let error = |text, path: &PathMatch| Pattern::parse(text, path).unwrap_err();
        assert!(error("/v2/{order}", &template).contains("it has: id"));
        assert!(error("/v2/{id", &template).contains("never closed"));
        let regex = PathMatch::Regex(whole_regex("/a/(b)").unwrap());
        assert!(error("/$2", &regex).contains("no group `$2`"));
        assert!(error("/v2/{id}", &PathMatch::Any).contains("path_template"));
        assert!(error("/v2?x=1", &PathMatch::Any).contains("query"));
        assert!(error("v2", &PathMatch::Any).contains("begin with"));
    }
}
