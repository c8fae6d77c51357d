//! Who may do what: for now, what nobody may do.

use http::Method;
use mesh_telemetry::proxy::RequestEvent;

use super::passing::Gate;
use crate::{call::Routed, config::Deny, error::ProxyError, paths::Guarded};

/// A refusal of the policy, ready for requests.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// Empty: all.
    methods: Vec<String>,
    /// None: every path.
    prefix: Option<Guarded>,
}

impl From<&Deny> for Denial {
    fn from(raw: &Deny) -> Self {
        Self {
            methods: raw.methods.clone(),
            prefix: raw.path_prefix.as_deref().map(Guarded::new),
        }
    }
}

impl Denial {
    fn is_of(&self, method: &Method, path: &str) -> bool {
        let mut methods = self.methods.iter();
        (self.methods.is_empty() || methods.any(|it| it == method.as_str()))
            && self.prefix.as_ref().is_none_or(|it| it.may_cover(path))
    }
}

/// The layer.
pub(crate) struct Authorize;

impl Gate<Routed> for Authorize {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, routed: Routed) -> Result<Routed, ProxyError> {
        let (method, path) = (routed.request.method(), routed.request.uri().path());
        if routed.route.deny.iter().any(|it| it.is_of(method, path)) {
            routed.scope.emit(RequestEvent::Denied);
            return Err(ProxyError::Denied);
        }
        Ok(routed)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Denial;
    use crate::config::Deny;

    #[test]
    fn a_rule_denies_its_path_in_every_disguise() {
        let denial = Denial::from(&Deny {
            methods: vec!["POST".to_owned()],
            path_prefix: Some("/admin".to_owned()),
        });
        assert!(denial.is_of(&Method::POST, "/admin/users"));
        assert!(denial.is_of(&Method::POST, "/x/..//%61dmin"));
        assert!(!denial.is_of(&Method::GET, "/admin"));
        assert!(!denial.is_of(&Method::POST, "/administer"));
    }
}
