//! The example of docs/access-log.md, and that the page names every key of a line.

use std::fs;

use serde_json::Value;

use crate::{
    pages,
    support::{App, Proxy, post, send, within},
};

const PAGE: &str = include_str!("../../../docs/access-log.md");

/// The text between the fence that begins with `start` and its end.
fn fenced<'a>(start: &str, page: &'a str) -> &'a str {
    let (_, after) = page.split_once(start).unwrap();
    after.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_example_writes_lines_as_the_page_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let yaml = pages::yaml(PAGE).replace("/var/log/glassmesh", &path);
    let mut config = pages::on_free_ports(&yaml);
    let app = App::fine().await;
    let cluster = config.policy.clusters.get_mut("payments").unwrap();
    cluster.endpoints = vec![app.address.to_string()];
    config.access_log.as_mut().unwrap().sample = 1.0; // the page's is left to chance
    let log = config.access_log.as_ref().unwrap().to.clone();
    let proxy = Proxy::start(config);
    within(send(proxy.out(), post("payments", "/charge", "hello"))).await;
    proxy.sidecar.drain().await;

    let line: Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
    let shown = example_line();
    let written = line.as_object().unwrap();
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        shown.keys().collect::<Vec<_>>()
    );
    for key in written.keys() {
        assert!(PAGE.contains(&format!("`{key}`")), "{key} is not explained");
    }
}

/// The line of the page, whose first brace went with the fence.
fn example_line() -> serde_json::Map<String, Value> {
    let text = format!("{{{}", fenced("```\n{", PAGE));
    serde_json::from_str(&text).unwrap()
}
