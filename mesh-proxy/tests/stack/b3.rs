//! B3 headers, read and written by a real sidecar that was told to.

use std::fs;

use http::HeaderMap;

use crate::{
    process::{Folder, Ports, Running},
    support::{App, get, send},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn b3_goes_through_a_sidecar_in_both_directions() {
    let (folder, ports, app) = (Folder::new("b3"), Ports::free(), App::fine().await);
    let inbound = Ports::free().0[0];
    let [outbound, admin, metrics] = ports.0;
    let address = app.address;
    let file = format!(
        "
service: orders
instance: orders-1
outbound: {{ listen: '{outbound}' }}
inbound: {{ listen: '{inbound}', application: '{address}' }}
admin: {admin}
metrics: {metrics}
telemetry: {{ otlp: 'http://127.0.0.1:9', sample_ratio: 1.0 }}
policy:
  clusters: {{ payments: {{ endpoints: ['{address}'] }} }}
  routes: [{{ name: payments, match: {{}}, cluster: payments }}]
"
    );
    fs::write(folder.file(), file).unwrap();
    let environment = [("OTEL_PROPAGATORS", "b3,b3multi")];
    let running = Running::start_in(&folder.file(), ports, &[], &environment).await;
    let single = format!("{TRACE}-{SPAN}-1");
    for to in [outbound, inbound] {
        let said = [
            &[("b3", single.as_str())][..],
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-sampled", "1"),
            ],
        ];
        for headers in said {
            let sent = through(to, headers, &app).await;
            assert_eq!(sent["x-b3-traceid"], TRACE);
            let span = sent["x-b3-spanid"].to_str().unwrap();
            assert_ne!(span, SPAN, "the span is the sidecar's");
            assert_eq!(sent["b3"], format!("{TRACE}-{span}-1"));
            assert_eq!(sent["x-b3-sampled"], "1");
            assert!(!sent.contains_key("traceparent"));
        }
        let sent = through(to, &[("b3", "4BF9-1-1")], &app).await;
        let trace = sent["x-b3-traceid"].to_str().unwrap();
        assert!(trace != TRACE && trace.len() == 32, "a new trace: {trace}");
        let unsampled = format!("{TRACE}-{SPAN}-0");
        let sent = through(to, &[("b3", &unsampled)], &app).await;
        assert_eq!(
            sent["b3"], unsampled,
            "nobody asked for it: it passes as it came"
        );
    }
    running.stop();
}

/// What the application got of a request with these headers.
async fn through(
    to: std::net::SocketAddr,
    headers: &[(&'static str, &str)],
    app: &App,
) -> HeaderMap {
    let mut request = get("payments", "/");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    send(to, request).await;
    app.seen().last().unwrap().headers.clone()
}
