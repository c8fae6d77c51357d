//! Paths with named segments: `/orders/{id}`, `/files/{*rest}`.

use std::sync::Arc;

use crate::paths::{normalise, split_segment};

/// A path with named segments. A name stands for exactly one segment, `{*rest}` at
/// the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    text: Arc<str>,
    segments: Vec<Segment>,
    /// Name of the `{*rest}`.
    rest: Option<Box<str>>,
}

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Itself.
    Text(Box<str>),
    /// Anything, under this name.
    Named(Box<str>),
}

/// Where a name of a template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The segment of this number, from 0.
    Segment(usize),
    /// All from the segment of this number on.
    From(usize),
}

impl Template {
    /// Reads a template; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is no path: it must begin with `/`"));
        };
        if normalise(text) != text {
            let normal = normalise(text);
            return Err(format!(
                "`{text}` is not in the normal form that paths are compared in: write `{normal}`"
            ));
        }
        let mut template = Self {
            text: text.into(),
            segments: Vec::new(),
            rest: None,
        };
        for segment in inner.split('/').filter(|segment| !segment.is_empty()) {
            template.push(segment)?;
        }
        Ok(template)
    }

    fn push(&mut self, segment: &str) -> Result<(), String> {
        let text = &self.text;
        if self.rest.is_some() {
            return Err(format!(
                "`{text}`: `{{*…}}` takes the rest of the path and must stand at its end"
            ));
        }
        let Some(name) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) else {
            if segment.contains(['{', '}']) {
                return Err(format!(
                    "`{text}`: a name takes a whole segment, as in `/orders/{{id}}`"
                ));
            }
            self.segments.push(Segment::Text(segment.into()));
            return Ok(());
        };
        let (name, is_rest) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_identifier(name) {
            return Err(format!(
                "`{text}`: `{name}` is no name of a segment: expected letters, digits and `_`"
            ));
        }
        if self.position(name).is_some() {
            return Err(format!("`{text}` has two segments of the name `{name}`"));
        }
        if is_rest {
            self.rest = Some(name.into());
        } else {
            self.segments.push(Segment::Named(name.into()));
        }
        Ok(())
    }

    /// As it was written: `http.route` of spans.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends with `{*…}`.
    pub(crate) fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Where a name stands; none: there is no such name.
    pub(crate) fn position(&self, name: &str) -> Option<Position> {
        let segment = self
            .segments
            .iter()
            .position(|segment| matches!(segment, Segment::Named(it) if **it == *name));
        let rest = self.rest.as_deref() == Some(name);
        segment
            .map(Position::Segment)
            .or_else(|| rest.then_some(Position::From(self.segments.len())))
    }

    /// Names, for messages.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.segments.iter().filter_map(|segment| match segment {
            Segment::Named(name) => Some(&**name),
            Segment::Text(_) => None,
        });
        named.chain(self.rest.as_deref())
    }

    /// Whether a normal path is of this form.
    pub(crate) fn matches(&self, mut path: &str) -> bool {
        for wanted in &self.segments {
            let Some((segment, after)) = split_segment(path) else {
                return false;
            };
            if matches!(wanted, Segment::Text(text) if **text != *segment) {
                return false;
            }
            path = after;
        }
        split_segment(path).is_some() == self.rest.is_some()
    }
}

impl Position {
    /// What stands there in a normal path; empty when it is too short.
    pub(crate) fn of(self, path: &str) -> &str {
        let (number, is_rest) = match self {
            Self::Segment(number) => (number, false),
            Self::From(number) => (number, true),
        };
        let mut left = path;
        for _ in 0..number {
            left = split_segment(left).map_or("", |(_, after)| after);
        }
        if is_rest {
            left.strip_prefix('/').unwrap_or(left)
        } else {
            split_segment(left).map_or("", |(segment, _)| segment)
        }
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::{Position, Template};

    #[test]
    fn a_name_takes_one_segment_and_a_star_the_rest() {
        for (template, path, wanted) in [
            ("/orders/{id}", "/orders/7", true),
            ("/orders/{id}", "/orders", false),
            ("/orders/{id}", "/orders/7/items", false),
            ("/orders/{id}/items", "/orders/7/items", true),
            ("/files/{*rest}", "/files/a/b", true),
            ("/files/{*rest}", "/files", false),
            ("/", "/", true),
            ("/", "/x", false),
        ] {
            let parsed = Template::parse(template).unwrap();
            assert_eq!(parsed.matches(path), wanted, "{template} {path}");
        }
    }

    #[test]
    fn names_give_their_part_of_the_path() {
        let template = Template::parse("/a/{x}/b/{*rest}").unwrap();
        let value = |name| template.position(name).map(|at| at.of("/a/1/b/c/d"));
        assert_eq!(value("x"), Some("1"));
        assert_eq!(value("rest"), Some("c/d"));
        assert_eq!(value("y"), None);
        assert_eq!(Position::Segment(9).of("/a"), "");
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, part) in [
            ("orders/{id}", "begin with"),
            ("/orders/{id}.json", "whole segment"),
            ("/{a}/{a}", "two segments"),
            ("/{*rest}/x", "at its end"),
            ("/{}", "no name"),
            ("/a//b", "`/a/b`"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
