//! Which request goes where: the conditions of routes, compiled, and the index that
//! finds the first route whose conditions hold.
//!
//! Conditions read the normal form of the path (see [`crate::paths`]), so that
//! `//admin` and `/%61dmin` are the `/admin` of a route; what is sent on is the path
//! as it came, unless the route rewrites it.

pub(crate) mod answer;
pub(crate) mod changes;
mod cover;
pub(crate) mod field;
mod index;
pub(crate) mod matcher;
pub(crate) mod pattern;
pub(crate) mod template;

use http::{HeaderMap, Method};
use regex::{Regex, RegexBuilder};

pub(crate) use cover::covers;
pub(crate) use index::Index;
pub(crate) use matcher::Matcher;

/// What the conditions of routes read of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Host without port, in any case.
    pub(crate) authority: Option<&'a str>,
    pub(crate) method: &'a Method,
    /// In normal form.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

/// Something that cannot be compiled: the key below the one that was given, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) key: String,
    pub(crate) message: String,
}

impl Flaw {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

/// Longest DNS name (RFC 1035, 2.3.4).
pub(crate) const LONGEST_HOST: usize = 253;

/// Most memory of one compiled expression: far more than a path needs, and a bound
/// for a policy that comes over the network.
const REGEX_SIZE: usize = 256 * 1024;

/// Compiles an expression for a whole value.
pub(crate) fn whole_regex(text: &str) -> Result<Regex, String> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(REGEX_SIZE)
            .build()
            .map_err(|error| format!("`{text}` is no regular expression that can be used: {error}"))
    };
    build(text)?; // alone, or `a)|(b` would break out of the group
    build(&format!("^(?:{text})$"))
}
