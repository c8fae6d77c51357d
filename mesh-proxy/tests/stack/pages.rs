//! The examples of the pages in docs/.

use mesh_proxy::config::{SidecarConfig, check_sidecar};

use crate::support::FREE;

/// The text of the first example of a page.
pub(crate) fn yaml(page: &str) -> &str {
    let (_, after) = page.split_once("```yaml\n").unwrap();
    after.split_once("```").unwrap().0
}

/// The first example of a page, without problems and on free ports.
pub(crate) fn example(page: &str) -> SidecarConfig {
    on_free_ports(yaml(page))
}

/// A configuration that must have no problems, on free ports.
pub(crate) fn on_free_ports(yaml: &str) -> SidecarConfig {
    let mut config = SidecarConfig::parse(yaml).unwrap();
    assert_eq!(check_sidecar(&config), []);
    (config.admin, config.metrics) = (FREE, FREE);
    if let Some(inbound) = &mut config.inbound {
        inbound.listen = FREE;
    }
    if let Some(outbound) = &mut config.outbound {
        outbound.listen = FREE;
    }
    config
}
