//! Whether a request meets a rule's conditions.

use http::{HeaderMap, Method};

/// What the conditions of a rule look at.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a Method,
    /// As it was sent, without the query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// Name of the route at the caller's sidecar.
    pub(crate) route: &'a str,
    /// Service that calls.
    pub(crate) caller: &'a str,
    /// Who the connection proves the caller to be.
    pub(crate) peer: Option<&'a str>,
}

/// The first condition that a request does not meet.
pub(crate) struct Miss {
    /// Its key, as `match.methods` or `arm`.
    pub(crate) key: &'static str,
    /// Conditions that it met before.
    pub(crate) met: usize,
}
