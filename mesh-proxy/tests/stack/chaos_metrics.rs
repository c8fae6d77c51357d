//! What the page of metrics says about faults, read from a real sidecar's.

use std::fs;

use http::StatusCode;

use crate::{
    process::{Folder, Ports, Running},
    support::{App, get, send, within},
};

#[tokio::test]
async fn every_kind_of_a_rule_is_counted_from_nothing_on() {
    let (folder, ports, app) = (Folder::new("faults"), Ports::free(), App::fine().await);
    let [outbound, admin, metrics] = ports.0;
    let file = format!(
        "
service: orders
instance: orders-1
outbound: {{ listen: '{outbound}' }}
admin: {admin}
metrics: {metrics}
policy:
  clusters: {{ payments: {{ endpoints: ['{app}'] }} }}
  routes: [{{ name: payments, match: {{ authority: payments }}, cluster: payments }}]
  chaos:
    - {{ id: bad, where: orders -> payments, delay: 5ms, truncate: 1MiB }}
    - {{ id: gone, where: payments, refuse: true, match: {{ path: /gone }} }}
",
        app = app.address
    );
    fs::write(folder.file(), file).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let series = |rule: &str, fault: &str| {
        let edge = "source=\"orders\",destination=\"payments\"";
        format!("mesh_faults_injected_total{{rule=\"{rule}\",fault=\"{fault}\",{edge}}}")
    };
    let kinds = [("bad", "delay"), ("bad", "truncate"), ("gone", "refuse")];
    let page = send(metrics, get("localhost", "/metrics")).await.body;
    let page = String::from_utf8(page.to_vec()).unwrap();
    for (rule, fault) in kinds {
        let line = format!("{} 0", series(rule, fault));
        assert!(page.lines().any(|it| it == line), "no `{line}` in\n{page}");
    }
    let slow = within(send(outbound, get("payments", "/"))).await;
    assert_eq!(slow.status, StatusCode::OK);
    let gone = within(send(outbound, get("payments", "/gone"))).await;
    assert_eq!(gone.reason(), "fault_refuse");
    // Both requests were delayed; no answer was as long as the one that breaks off.
    for ((rule, fault), count) in kinds.into_iter().zip([2.0, 0.0, 1.0]) {
        let counted = running.metric(&series(rule, fault)).await;
        assert!((counted - count).abs() < 0.1, "{rule} {fault}: {counted}");
    }
    let active = running.metric("mesh_fault_active{rule=\"bad\"}").await;
    assert!(active.abs() < 0.1, "{active}");
    let delays = "mesh_fault_delay_seconds_count{rule=\"bad\"}";
    running.until_metric(delays, 2.0).await;
}
