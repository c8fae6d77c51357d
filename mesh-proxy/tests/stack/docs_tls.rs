//! The example of docs/tls.md, with certificates that are made for it.

use http::StatusCode;
use mesh_proxy::config::SidecarConfig;

use crate::{
    pages,
    pki::{Pki, id},
    support::{App, Proxy, get, send, within},
};

const PAGE: &str = include_str!("../../../docs/tls.md");

/// The example for this service, with the other one for a neighbour.
fn example(pki: &Pki, names: [&str; 2]) -> SidecarConfig {
    let folder = pki.path("").display().to_string();
    let yaml = pages::yaml(PAGE)
        .replace("/etc/glassmesh/tls/", &folder)
        .replace("orders", "<service>")
        .replace("payments", "<neighbour>")
        .replace("<service>", names[0])
        .replace("<neighbour>", names[1]);
    pages::on_free_ports(&yaml)
}

#[tokio::test]
async fn the_example_and_its_mirror_image_know_each_other() {
    let pki = Pki::new();
    pki.service("orders");
    pki.service("payments");
    let app = App::fine().await;
    let mut payments = example(&pki, ["payments", "orders"]);
    payments.inbound.as_mut().unwrap().application = app.address;
    let payments = Proxy::start(payments);
    let mut orders = example(&pki, ["orders", "payments"]);
    let cluster = orders.policy.clusters.get_mut("payments").unwrap();
    cluster.endpoints = vec![payments.inn().to_string()];
    let orders = Proxy::start(orders);

    let answer = within(send(orders.out(), get("payments", "/charge"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(app.seen()[0].headers["x-mesh-source"], "orders");
    let record = &payments.records(1).await[0];
    let shown = format!("mesh.peer_identity={}", id("orders"));
    for part in [&shown, "mesh.source=orders", "tls.protocol.version=1.3"] {
        assert!(record.contains(part), "{part} missing in {record}");
    }
    let plain = within(send(payments.inn(), get("payments", "/charge"))).await;
    assert_eq!(plain.reason(), "tls_required");
    assert_eq!(app.count(), 1);
}
