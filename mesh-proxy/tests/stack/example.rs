//! The example of docs/mesh-proxy.md is a configuration that can be started.

use mesh_telemetry::{Readiness, proxy::Sink};

use crate::pages::example;

const PAGE: &str = include_str!("../../../docs/mesh-proxy.md");

#[tokio::test]
async fn the_documented_example_starts() {
    let started =
        mesh_proxy::Sidecar::start(example(PAGE), Sink::disconnected(), Readiness::default());
    started.unwrap().drain().await;
}
