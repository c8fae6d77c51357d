//! Paths of requests: prefixes by whole segments, the one normal form that routes read,
//! and all that a path could mean, which access decisions read.

mod readings;

use std::borrow::Cow;

pub(crate) use readings::Guarded;

/// Whether `prefix` covers `path` by whole segments: `/orders` covers `/orders`
/// and `/orders/7`, not `/ordersheet`.
#[must_use]
pub(crate) fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path as a careless application might understand it: escapes decoded,
/// backslashes turned, empty and dot segments resolved. A deny rule reads this
/// form, so that `/%61dmin`, `//admin` and `/x/../admin` are `/admin` to it.
#[must_use]
pub(crate) fn normalise(path: &str) -> String {
    let decoded = decode(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

/// [`normalise`], without a copy where there is nothing to change: nearly always.
#[must_use]
pub(crate) fn normal(path: &str) -> Cow<'_, str> {
    let trimmed = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(trimmed) => trimmed,
    };
    if is_normal(trimmed.as_bytes()) {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(normalise(path))
    }
}

/// Whether a path without slash at its end surely is its own normal form.
fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, &byte) in path.iter().enumerate() {
        let odd = match byte {
            b'%' | b'\\' | b';' => true,
            b'/' => before == b'/' || (at > 0 && at + 1 == path.len()),
            b'.' => before == b'/' && matches!(path.get(at + 1), None | Some(b'/' | b'.')),
            _ => false,
        };
        if odd {
            return false;
        }
        before = byte;
    }
    path.first() == Some(&b'/')
}

/// The first segment of a normal path, and what follows it; none: there is no more.
pub(crate) fn split_segment(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    match memchr::memchr(b'/', path.as_bytes()) {
        Some(end) => Some(path.split_at(end)),
        None if path.is_empty() => None,
        None => Some((path, "")),
    }
}

/// Percent-decodes until nothing changes any more, a few times at most: twice
/// encoded paths are an old way round a rule.
fn decode(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        let next = decode_once(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Decodes the percent escapes that there are.
pub(crate) fn decode_once(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::{has_prefix, normal, normalise, split_segment};

    proptest! {
        #[test]
        fn the_short_way_to_the_normal_form_finds_the_same(path in "[/a.%;2fF\\\\]{0,12}") {
            let path = format!("/{path}");
            prop_assert_eq!(normal(&path).into_owned(), normalise(&path));
        }
    }

    #[test]
    fn a_path_in_normal_form_is_not_copied() {
        for path in ["/", "/orders", "/orders/", "/.well-known/x", "/a.b/c..d"] {
            assert!(matches!(normal(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn a_path_falls_into_its_segments() {
        assert_eq!(split_segment("/"), None);
        assert_eq!(split_segment(""), None);
        assert_eq!(split_segment("/a"), Some(("a", "")));
        assert_eq!(split_segment("/a/b/c"), Some(("a", "/b/c")));
    }

    #[test]
    fn prefixes_match_whole_segments() {
        for (path, prefix, wanted) in [
            ("/orders", "/orders", true),
            ("/orders/7", "/orders", true),
            ("/orders/7", "/orders/", true),
            ("/ordersheet", "/orders", false),
            ("/anything", "/", true),
            ("/", "/orders", false),
        ] {
            assert_eq!(has_prefix(path, prefix), wanted, "{path} under {prefix}");
        }
    }

    #[test]
    fn disguises_of_a_path_have_one_normal_form() {
        for path in [
            "/admin",
            "//admin",
            "/./admin",
            "/x/../admin",
            "/%61dmin",
            "/%2561dmin",
            "/x/%2e%2e/admin",
            "\\admin",
            "/admin/",
            "/../admin",
        ] {
            assert_eq!(normalise(path), "/admin", "{path}");
        }
        assert_eq!(normalise("/a%zz%"), "/a%zz%");
    }
}
