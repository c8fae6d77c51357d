//! Who may do what: for now, what nobody may do.

use http::Method;
use mesh_telemetry::proxy::RequestEvent;

use super::passing::Gate;
use crate::{call::Routed, config::Deny, error::ProxyError, paths::may_be_under};

/// The layer.
pub(crate) struct Authorize;

impl Gate<Routed> for Authorize {
    type Passed = Routed;
    type Error = ProxyError;

    fn pass(&self, routed: Routed) -> Result<Routed, ProxyError> {
        if denies(
            &routed.route.deny,
            routed.request.method(),
            routed.request.uri().path(),
        ) {
            routed.scope.emit(RequestEvent::Denied);
            return Err(ProxyError::Denied);
        }
        Ok(routed)
    }
}

fn denies(rules: &[Deny], method: &Method, path: &str) -> bool {
    if rules.is_empty() {
        return false;
    }
    rules.iter().any(|rule| {
        let method = rule.methods.is_empty() || rule.methods.iter().any(|m| m == method.as_str());
        method
            && rule
                .path_prefix
                .as_ref()
                .is_none_or(|prefix| may_be_under(path, prefix))
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::denies;
    use crate::config::Deny;

    #[test]
    fn a_rule_denies_its_path_in_every_disguise() {
        let rules = [Deny {
            methods: vec!["POST".to_owned()],
            path_prefix: Some("/admin".to_owned()),
        }];
        assert!(denies(&rules, &Method::POST, "/admin/users"));
        assert!(denies(&rules, &Method::POST, "/x/..//%61dmin"));
        assert!(!denies(&rules, &Method::GET, "/admin"));
        assert!(!denies(&rules, &Method::POST, "/administer"));
    }
}
