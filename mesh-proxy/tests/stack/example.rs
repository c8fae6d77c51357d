//! The example of docs/mesh-proxy.md is a configuration that can be started.

use mesh_proxy::config::{SidecarConfig, check_sidecar};
use mesh_telemetry::{Readiness, proxy::Sink};

const PAGE: &str = include_str!("../../../docs/mesh-proxy.md");

fn example() -> SidecarConfig {
    let (_, after) = PAGE.split_once("```yaml\n").unwrap();
    let (yaml, _) = after.split_once("```").unwrap();
    SidecarConfig::parse(yaml).unwrap()
}

#[test]
fn the_documented_example_has_no_problems() {
    assert_eq!(check_sidecar(&example()), []);
}

#[tokio::test]
async fn the_documented_example_starts() {
    let mut config = example();
    for address in [
        &mut config.admin,
        &mut config.metrics,
        &mut config.inbound.as_mut().unwrap().listen,
        &mut config.outbound.as_mut().unwrap().listen,
    ] {
        address.set_port(0);
    }
    let started = mesh_proxy::Sidecar::start(config, Sink::disconnected(), Readiness::default());
    started.unwrap().drain().await;
}
