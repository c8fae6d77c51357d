//! The example of docs/protocols.md runs, and does what the page says.

use http::Version;
use mesh_proxy::config::{SidecarConfig, check_sidecar};

use crate::support::{App, FREE, Proxy, get, send};

const PAGE: &str = include_str!("../../../docs/protocols.md");

fn example() -> SidecarConfig {
    let (_, after) = PAGE.split_once("```yaml\n").unwrap();
    let (yaml, _) = after.split_once("```").unwrap();
    let mut config = SidecarConfig::parse(yaml).unwrap();
    assert_eq!(check_sidecar(&config), []);
    config.admin = FREE;
    config.metrics = FREE;
    config
}

#[tokio::test]
async fn the_documented_pair_carries_http1_over_http2_and_gives_http1_back() {
    let app = App::fine().await;
    let (mut node, mut caller) = (example(), example());
    node.outbound = None;
    let inbound = node.inbound.as_mut().unwrap();
    (inbound.listen, inbound.application) = (FREE, app.address);
    let node = Proxy::start(node);
    caller.inbound = None;
    caller.outbound.as_mut().unwrap().listen = FREE;
    let chat = caller.policy.clusters.get_mut("chat").unwrap();
    chat.endpoints = vec![node.inn().to_string()];
    let caller = Proxy::start(caller);
    let answer = send(caller.out(), get("chat", "/")).await;
    assert_eq!(answer.body, "ok");
    let seen = &app.seen()[0];
    assert_eq!(seen.version, Version::HTTP_11);
    assert_eq!(seen.headers["via"], "2 chat");
    assert_eq!(
        seen.headers["forwarded"],
        "for=127.0.0.1;host=chat;proto=http"
    );
}
