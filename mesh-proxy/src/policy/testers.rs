//! Callers outside whose `mesh.*` baggage counts.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config;

/// Who may arm chaos rules from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Testers {
    networks: Vec<IpNet>,
    identities: Vec<Box<str>>,
}

impl Testers {
    /// Those of a checked policy.
    pub(super) fn of(raw: &config::Testers) -> Self {
        let networks = raw.networks.iter();
        let identities = raw.identities.iter();
        Self {
            networks: networks.filter_map(|text| network(text)).collect(),
            identities: identities.map(|name| name.as_str().into()).collect(),
        }
    }

    /// Whether a caller is one of them: by the address of its connection, or by what
    /// that proves.
    pub(crate) fn include(&self, address: Option<SocketAddr>, peer: Option<&str>) -> bool {
        // A listener for both families shows IPv4 addresses as IPv6 ones.
        let address = address.map(|address| address.ip().to_canonical());
        let near = |network: &IpNet| address.is_some_and(|address| network.contains(&address));
        self.networks.iter().any(near) || self.identities.iter().any(|name| Some(&**name) == peer)
    }
}

/// A network as `127.0.0.0/8`, or a single address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| single()).ok()
}

#[cfg(test)]
mod tests {
    use super::Testers;

    #[test]
    fn testers_are_known_by_address_or_by_certificate() {
        let raw = "{ networks: [127.0.0.0/8, '::1', '2001:db8::/32'], identities: ['spiffe://shop/sa/tester'] }";
        let testers = Testers::of(&serde_saphyr::from_str(raw).unwrap());
        for (address, peer, wanted) in [
            (Some("127.9.9.9:1"), None, true),
            (Some("[::ffff:127.0.0.1]:1"), None, true),
            (Some("[::1]:1"), None, true),
            (Some("[::2]:1"), None, false),
            (Some("[2001:db8:7::1]:1"), None, true),
            (Some("128.0.0.1:1"), None, false),
            (None, None, false),
            (None, Some("spiffe://shop/sa/tester"), true),
            (Some("10.0.0.1:1"), Some("spiffe://shop/sa/other"), false),
        ] {
            let address = address.map(|it| it.parse().unwrap());
            assert_eq!(
                testers.include(address, peer),
                wanted,
                "{address:?} {peer:?}"
            );
        }
        assert!(!Testers::default().include(Some(([127, 0, 0, 1], 1).into()), None));
    }
}
