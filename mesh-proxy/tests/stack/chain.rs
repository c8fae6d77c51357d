//! Two sidecars in a row: the tree of a request that met a fault, was retried and
//! went through. It holds the order of the layers in place.

use http::StatusCode;
use mesh_proxy::config::FaultKind;
use mesh_telemetry::context::TraceContext;

use crate::support::{App, Proxy, get, policy, send, trace_that};

#[tokio::test(start_paused = true)]
async fn a_faulted_and_retried_request_leaves_one_tree() {
    let app = App::fine().await;
    let payments = Proxy::inbound(app.address, policy("inbound: { callers: [orders] }", &[]));
    let orders = Proxy::outbound(policy(
        "
clusters: { payments: { endpoints: [$payments] } }
routes:
  - { name: payments, match: { authority: payments }, cluster: payments, deadline: 2s, retry: { attempts: 3, backoff_base: 0ms } }
chaos: [{ id: flaky, where: orders -> payments, percent: 50, abort: 503 }]
",
        &[("payments", payments.inn())],
    ));
    let mut request = get("payments", "/pay");
    let trace = trace_that("flaky", FaultKind::Abort, 50.0, &[true, false]);
    request
        .headers_mut()
        .insert("traceparent", trace.parse().unwrap());
    let callers = TraceContext::extract(request.headers()).unwrap();
    assert_eq!(send(orders.out(), request).await.status, StatusCode::OK);

    let sent = orders.sink.take();
    let [out] = sent.as_slice() else {
        panic!("{sent:#?}")
    };
    let received = payments.sink.take();
    let [inn] = received.as_slice() else {
        panic!("{received:#?}")
    };

    let out_spans = out.spans();
    let [request, first, second] = out_spans.as_slice() else {
        panic!("{}", out.describe())
    };
    let in_spans = inn.spans();
    assert_eq!(request.parent_span_id, callers.span_id);
    assert_eq!(first.parent_span_id, request.span_context.span_id());
    assert_eq!(second.parent_span_id, request.span_context.span_id());
    assert_eq!(
        in_spans[0].parent_span_id,
        second.span_context.span_id(),
        "under the attempt that reached it"
    );
    let application = TraceContext::extract(&app.seen()[0].headers).unwrap();
    assert_eq!(application.span_id, in_spans[0].span_context.span_id());
    assert!(first.end_time <= request.end_time && second.end_time <= request.end_time);
    for span in out_spans.iter().chain(&in_spans) {
        assert_eq!(span.span_context.trace_id(), callers.trace_id);
    }
    let tree = format!("{}\n{}", out.describe(), inn.describe())
        .replace(&payments.inn().to_string(), "PAYMENTS")
        .replace(&payments.inn().port().to_string(), "PORT")
        .replace(&app.address.to_string(), "APPLICATION");
    insta::assert_snapshot!(tree);
}
