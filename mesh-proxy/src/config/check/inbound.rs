//! The inbound side.

use super::{
    Findings, is_name, limits, name_expected,
    policy::{check_methods, check_path, positive},
};
use crate::{
    config::{InboundPolicy, Testers},
    policy::network,
    tls::spiffe_problem,
};

pub(super) fn check(inbound: &InboundPolicy, found: &mut Findings) {
    limits::inbound(inbound, found);
    if let Some(deadline) = inbound.deadline {
        positive("deadline", deadline, found);
    }
    if let Some(idle) = inbound.idle_timeout {
        positive("idle_timeout", idle, found);
    }
    found.each("callers", &inbound.callers, |found, _, name| {
        found.expect(is_name(name), "", || name_expected(name));
    });
    found.under("testers", |found| check_testers(inbound, found));
    found.each("deny", &inbound.deny, |found, _, deny| {
        check_path(deny.path_prefix.as_deref(), found);
        check_methods(&deny.methods, found);
        let empty = deny.path_prefix.is_none() && deny.methods.is_empty();
        found.expect(!empty, "", || {
            "refuses everything: give `methods`, `path_prefix` (`/` means every path) or both"
                .to_owned()
        });
    });
}

fn check_testers(inbound: &InboundPolicy, found: &mut Findings) {
    let testers = &inbound.testers;
    found.expect(inbound.edge || *testers == Testers::default(), "", || {
        "nobody's baggage is removed here, so that nobody need be a tester: leave this out, or make this an entry of the mesh (`edge: true`; in a mesh file, `expose` of the service)"
            .to_owned()
    });
    found.each("networks", &testers.networks, |found, _, text| {
        found.expect(network(text).is_some(), "", || {
            format!("`{text}` is no network: expected an address and the length of its prefix, as `127.0.0.0/8` or `::1/128`")
        });
    });
    found.each("identities", &testers.identities, |found, _, name| {
        if name.contains("://") {
            if let Some(problem) = spiffe_problem(name) {
                found.report("", problem);
            }
        } else {
            found.expect(is_name(name), "", || name_expected(name));
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::config::check;

    #[test]
    fn testers_are_for_the_entry_of_the_mesh_and_can_be_read() {
        for (inbound, keys) in [
            (
                "{ edge: true, testers: { networks: [127.0.0.0/8, '::1'], identities: ['spiffe://a/b', ci.example.org] } }",
                vec![],
            ),
            (
                "{ testers: { networks: [127.0.0.0/8] } }",
                vec!["inbound.testers"],
            ),
            (
                "{ edge: true, testers: { networks: [localhost, 10.0.0.0/33], identities: ['spiffe://', 'a b'] } }",
                vec![
                    "inbound.testers.networks[0]",
                    "inbound.testers.networks[1]",
                    "inbound.testers.identities[0]",
                    "inbound.testers.identities[1]",
                ],
            ),
        ] {
            let policy = serde_saphyr::from_str(&format!("{{ inbound: {inbound} }}")).unwrap();
            let found: Vec<String> = check(&policy).into_iter().map(|it| it.key).collect();
            assert_eq!(found, keys, "{inbound}");
        }
    }
}
