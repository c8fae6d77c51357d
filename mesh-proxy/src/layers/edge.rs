//! At the entry of the mesh: removes what callers outside claim about themselves,
//! so that no header of a stranger reaches a record, a rule or the application. The
//! mesh's own members of the baggage are kept for testers, who may arm chaos rules.

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::passing::Gate;
use crate::{
    baggage::{BAGGAGE, OWN},
    body::Request,
    names,
    policy::Local,
    server::RemoteAddress,
    shared::Shared,
    tls::Peer,
};

/// The layer.
pub(crate) struct Edge(Arc<Shared>);

impl Edge {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Gate<Request> for Edge {
    type Passed = Request;
    type Error = Infallible;

    fn pass(&self, mut request: Request) -> Result<Request, Infallible> {
        let policy = self.0.policy.load();
        if let Some(edge) = policy.local.as_ref().filter(|local| local.is_edge) {
            let kept = request.headers().contains_key(BAGGAGE) && is_tester(&request, edge);
            strip_headers(request.headers_mut());
            if !kept {
                strip_baggage(request.headers_mut());
            }
        }
        Ok(request)
    }
}

fn is_tester(request: &Request, edge: &Local) -> bool {
    let extensions = request.extensions();
    let address = extensions.get::<RemoteAddress>().map(|it| it.0);
    let peer = extensions.get::<Arc<Peer>>();
    let proven = peer.and_then(|peer| peer.secured().peer.as_deref());
    edge.testers.include(address, proven)
}

fn strip_headers(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(names::PREFIX))
        .cloned()
        .collect();
    for claim in claims {
        headers.remove(claim);
    }
}

fn strip_baggage(headers: &mut HeaderMap) {
    if !headers.contains_key(BAGGAGE) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(BAGGAGE)
        .iter()
        .filter_map(|value| foreign_members(value.to_str().ok()?))
        .collect();
    headers.remove(BAGGAGE);
    for value in kept {
        headers.append(BAGGAGE, value);
    }
}

fn foreign_members(value: &str) -> Option<HeaderValue> {
    let members: Vec<&str> = value
        .split(',')
        .filter(|member| !member.trim_start().starts_with(OWN))
        .collect();
    let text = members.join(",");
    HeaderValue::from_str(text.trim())
        .ok()
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{strip_baggage, strip_headers};

    #[test]
    fn claims_of_strangers_are_removed_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-mesh-source", "orders"),
            ("x-mesh-deadline-ms", "1"),
            ("x-request-id", "7"),
            ("baggage", "mesh.rule=x, user=5;p=1"),
            ("baggage", "mesh.only=1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_headers(&mut headers);
        strip_baggage(&mut headers);
        let left: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(left, [("x-request-id", "7"), ("baggage", "user=5;p=1")]);
    }
}
